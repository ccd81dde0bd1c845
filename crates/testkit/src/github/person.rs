//! Someone who works on the repository besides, as with a clone of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::objects::Item;
use super::server::Shared;

/// Sees and changes the repository without the API, its limits and its rules.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub(crate) shared: &'a Shared,
}

/// A commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommit {
    /// Its id.
    pub sha: String,
    /// What it says.
    pub message: String,
    /// Who made it.
    pub author: String,
}

impl Person<'_> {
    /// Commits changes to a branch, which is made if need be: `None` deletes a file.
    pub fn commit(&self, branch: &str, message: &str, changes: &[(&str, Option<&str>)]) -> String {
        let mut state = self.shared.state();
        let mut files = state.repository.files(branch);
        for (path, content) in changes {
            match content {
                Some(content) => {
                    let sha = state.repository.objects.add_blob(Bytes::copy_from_slice(content.as_bytes()));
                    files.insert((*path).to_owned(), Item { mode: "100644".to_owned(), sha });
                }
                None => {
                    files.remove(*path);
                }
            }
        }
        state.repository.commit_files(branch, &files, "Person <person@users.example>", message)
    }

    /// Makes a branch point elsewhere, as a forced push does.
    pub fn reset(&self, branch: &str, commit: &str) {
        self.shared.state().repository.branches.insert(branch.to_owned(), commit.to_owned());
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, branch: &str) {
        self.shared.state().repository.branches.remove(branch);
    }

    /// The files of a branch.
    pub fn files(&self, branch: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.shared.state();
        let content = |item: &Item| state.repository.objects.blob(&item.sha).map(|bytes| bytes.to_vec());
        let files = state.repository.files(branch).into_iter();
        files.filter_map(|(path, item)| Some((path, content(&item)?))).collect()
    }

    /// One file as text.
    pub fn file(&self, branch: &str, path: &str) -> Option<String> {
        self.files(branch).remove(path).and_then(|bytes| String::from_utf8(bytes).ok())
    }

    /// The commits of a branch, the newest first.
    pub fn log(&self, branch: &str) -> Vec<LoggedCommit> {
        let state = self.shared.state();
        let mut log = Vec::new();
        let mut next = state.repository.branches.get(branch).cloned();
        while let Some(sha) = next {
            let Some(commit) = state.repository.objects.commit(&sha) else { break };
            next = commit.parents.first().cloned();
            log.push(LoggedCommit { sha, message: commit.message.clone(), author: commit.author.clone() });
        }
        log
    }
}
