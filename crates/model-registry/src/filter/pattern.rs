//! Patterns of `LIKE` and `ILIKE`, which mean the same in every database: `%` is any text, `_` any one character, and a
//! backslash makes the character after it an ordinary one. Databases differ in which letters they take for the same in
//! either case, so `ILIKE` does so with the letters of ASCII only.

/// A pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    pub(super) case: Case,
    pieces: Vec<Piece>,
}

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// `LIKE`
    Kept,
    /// `ILIKE`
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece {
    Just(char),
    One,
    Any,
}

/// What marks ordinary characters in patterns for SQL's `LIKE`. A backslash is itself special in some databases' texts.
const ESCAPE: char = '!';

impl Pattern {
    pub(super) fn new(case: Case, text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '%' if pieces.last() == Some(&Piece::Any) => {}
                '%' => pieces.push(Piece::Any),
                '_' => pieces.push(Piece::One),
                '\\' => pieces.push(Piece::Just(characters.next().unwrap_or('\\'))),
                character => pieces.push(Piece::Just(character)),
            }
        }
        if case == Case::Ignored {
            for piece in &mut pieces {
                if let Piece::Just(character) = piece {
                    character.make_ascii_lowercase();
                }
            }
        }
        Self { case, pieces }
    }

    /// For `GLOB` of SQLite, whose `LIKE` ignores case.
    pub(super) fn glob(&self) -> String {
        let mut glob = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Just(character @ ('*' | '?' | '[')) => glob.extend(['[', *character, ']']),
                Piece::Just(character) => glob.push(*character),
                Piece::One => glob.push('?'),
                Piece::Any => glob.push('*'),
            }
        }
        glob
    }

    /// For `LIKE … ESCAPE '!'`.
    pub(super) fn like(&self) -> String {
        let mut like = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Just(character @ ('%' | '_' | ESCAPE)) => like.extend([ESCAPE, *character]),
                Piece::Just(character) => like.push(*character),
                Piece::One => like.push('_'),
                Piece::Any => like.push('%'),
            }
        }
        like
    }

    /// Its letters, if their case does not matter, each once, in lower case.
    pub(super) fn letters(&self) -> Vec<char> {
        let mut letters: Vec<char> = self.pieces.iter().filter_map(|piece| piece.letter()).collect();
        letters.sort_unstable();
        letters.dedup();
        letters
    }

    /// Whether a text is like that.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text
            .chars()
            .map(|character| if self.case == Case::Ignored { character.to_ascii_lowercase() } else { character })
            .collect();
        let (mut piece, mut character) = (0, 0);
        // Behind the last `%`, and up to where that one reaches; it is made to reach further where the rest does not fit.
        let mut retry = None;
        while character < text.len() {
            match self.pieces.get(piece) {
                Some(Piece::Any) => {
                    piece += 1;
                    retry = Some((piece, character));
                }
                Some(Piece::One) => (piece, character) = (piece + 1, character + 1),
                Some(Piece::Just(wanted)) if *wanted == text[character] => {
                    (piece, character) = (piece + 1, character + 1);
                }
                _ => {
                    let Some((behind, reached)) = retry else { return false };
                    (piece, character) = (behind, reached + 1);
                    retry = Some((behind, reached + 1));
                }
            }
        }
        self.pieces[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

impl Piece {
    const fn letter(self) -> Option<char> {
        match self {
            Self::Just(character) if character.is_ascii_lowercase() => Some(character),
            _ => None,
        }
    }
}
