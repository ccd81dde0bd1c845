-- Has a row while the file, which began empty, is being filled and was told no key set yet.
CREATE TABLE filling (
    mark INTEGER NOT NULL PRIMARY KEY CHECK (mark = 1)
);
