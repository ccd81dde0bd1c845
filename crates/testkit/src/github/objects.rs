//! Git's objects, with the ids that git gives them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

/// What a path of a tree leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) mode: String,
    pub(crate) sha: String,
}

impl Item {
    pub(crate) fn kind(&self) -> &'static str {
        match self.mode.as_str() {
            "040000" => "tree",
            "160000" => "commit",
            _ => "blob",
        }
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitObject {
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: String,
    pub(crate) message: String,
    pub(crate) time: u64,
}

/// All objects of a repository.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    blobs: HashMap<String, Bytes>,
    trees: HashMap<String, BTreeMap<String, Item>>,
    commits: HashMap<String, CommitObject>,
}

/// Files by their paths.
pub(crate) type Flat = BTreeMap<String, Item>;

impl Objects {
    pub(crate) fn blob(&self, sha: &str) -> Option<&Bytes> {
        self.blobs.get(sha)
    }

    pub(crate) fn tree(&self, sha: &str) -> Option<&BTreeMap<String, Item>> {
        self.trees.get(sha)
    }

    pub(crate) fn commit(&self, sha: &str) -> Option<&CommitObject> {
        self.commits.get(sha)
    }

    /// Whether a commit is another one or comes before it.
    pub(crate) fn is_ancestor(&self, ancestor: &str, of: &str) -> bool {
        let mut open = vec![of];
        while let Some(sha) = open.pop() {
            if sha == ancestor {
                return true;
            }
            open.extend(self.commits.get(sha).into_iter().flat_map(|commit| commit.parents.iter().map(String::as_str)));
        }
        false
    }

    pub(crate) fn add_blob(&mut self, bytes: Bytes) -> String {
        let sha = id("blob", &bytes);
        self.blobs.entry(sha.clone()).or_insert(bytes);
        sha
    }

    pub(crate) fn add_commit(&mut self, commit: CommitObject) -> String {
        let mut text = format!("tree {}\n", commit.tree);
        for parent in &commit.parents {
            let _ = writeln!(text, "parent {parent}");
        }
        let (author, time) = (&commit.author, commit.time);
        let _ = write!(text, "author {author} {time} +0000\ncommitter {author} {time} +0000\n\n{}", commit.message);
        let sha = id("commit", text.as_bytes());
        self.commits.insert(sha.clone(), commit);
        sha
    }

    /// The tree of these files, with all trees below it.
    pub(crate) fn add_tree(&mut self, files: &Flat) -> String {
        let mut items: BTreeMap<String, Item> = BTreeMap::new();
        let mut below: BTreeMap<&str, Flat> = BTreeMap::new();
        for (path, item) in files {
            match path.split_once('/') {
                None => {
                    items.insert(path.clone(), item.clone());
                }
                Some((directory, rest)) => {
                    below.entry(directory).or_default().insert(rest.to_owned(), item.clone());
                }
            }
        }
        for (directory, files) in below {
            let sha = self.add_tree(&files);
            items.insert(directory.to_owned(), Item { mode: "040000".to_owned(), sha });
        }
        let sha = tree_id(&items);
        self.trees.insert(sha.clone(), items);
        sha
    }

    /// A tree like another one, edited: `None` deletes. What can't be deleted is said by its path.
    pub(crate) fn edit_tree(
        &mut self,
        base: Option<&str>,
        edits: Vec<(String, Option<Item>)>,
    ) -> Result<String, String> {
        let mut items = base.and_then(|base| self.trees.get(base)).cloned().unwrap_or_default();
        let mut below: BTreeMap<String, Vec<(String, Option<Item>)>> = BTreeMap::new();
        for (path, item) in edits {
            match (path.split_once('/'), item) {
                (Some((directory, rest)), item) => {
                    below.entry(directory.to_owned()).or_default().push((rest.to_owned(), item));
                }
                // A file takes the place of a directory, and a directory that of a file.
                (None, Some(item)) => {
                    items.insert(path, item);
                }
                (None, None) => {
                    items.remove(&path).ok_or(path)?;
                }
            }
        }
        for (directory, edits) in below {
            let base = items.get(&directory).filter(|item| item.kind() == "tree").map(|item| item.sha.clone());
            let sha = self.edit_tree(base.as_deref(), edits).map_err(|path| format!("{directory}/{path}"))?;
            if self.trees.get(&sha).is_some_and(BTreeMap::is_empty) {
                items.remove(&directory);
            } else {
                items.insert(directory, Item { mode: "040000".to_owned(), sha });
            }
        }
        let sha = tree_id(&items);
        self.trees.insert(sha.clone(), items);
        Ok(sha)
    }

    /// The files of a tree.
    pub(crate) fn flat(&self, tree: &str) -> Flat {
        let listed = self.list(tree, usize::MAX).0;
        listed.into_iter().filter(|(_, item)| item.kind() != "tree").collect()
    }

    /// Everything below a tree, up to a limit, and whether that was all.
    pub(crate) fn list(&self, tree: &str, limit: usize) -> (Vec<(String, Item)>, bool) {
        let mut listed = Vec::new();
        self.list_into(tree, "", &mut listed);
        let whole = listed.len() <= limit;
        listed.truncate(limit);
        (listed, whole)
    }

    fn list_into(&self, tree: &str, above: &str, listed: &mut Vec<(String, Item)>) {
        for (name, item) in self.trees.get(tree).into_iter().flatten() {
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            listed.push((path.clone(), item.clone()));
            if item.kind() == "tree" {
                self.list_into(&item.sha, &path, listed);
            }
        }
    }
}

fn tree_id(items: &BTreeMap<String, Item>) -> String {
    // Git sorts directories as if their names ended with a slash.
    let sort_key = |name: &str, item: &Item| if item.kind() == "tree" { format!("{name}/") } else { name.to_owned() };
    let mut sorted: Vec<_> = items.iter().collect();
    sorted.sort_by_key(|(name, item)| sort_key(name, item));
    let mut content = Vec::new();
    for (name, item) in sorted {
        content.extend_from_slice(format!("{} {name}\0", item.mode.trim_start_matches('0')).as_bytes());
        let digits = item.sha.as_bytes().chunks(2);
        content.extend(digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()));
    }
    id("tree", &content)
}

fn id(kind: &str, content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("{kind} {}\0", content.len()));
    hash.update(content);
    crate::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_git() {
        // As `git hash-object`, `git mktree` and `git commit-tree` say.
        let mut objects = Objects::default();
        assert_eq!(objects.add_tree(&Flat::new()), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let sha = objects.add_blob(Bytes::from_static(b"hello\n"));
        assert_eq!(sha, "ce013625030ba8dba906f756967f9e9ca394464a");
        let file = Item { mode: "100644".to_owned(), sha };
        let files: Flat = ["a.b", "a/x", "a0"].map(|path| (path.to_owned(), file.clone())).into();
        let tree = objects.add_tree(&files);
        assert_eq!(tree, TREE);
        let author = "A <a@b.example>".to_owned();
        let commit =
            CommitObject { tree, parents: Vec::new(), author, message: "Begin\n".to_owned(), time: 1_000_000_000 };
        assert_eq!(objects.add_commit(commit), COMMIT);
    }

    const TREE: &str = "789782debc5f8a6357d255c85ef58af981aa5a9e";
    const COMMIT: &str = "49dfcb58429240fd0fb052689550f8f94ae7fa5c";
}
