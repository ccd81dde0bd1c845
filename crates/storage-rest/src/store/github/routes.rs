//! The routes of GitHub's REST API that are used: the repository, one branch, and git's own objects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Answer, Call, GithubClient, RAW};
use super::error::GithubError;

/// What is asked of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct RepositoryInfo {
    pub(super) default_branch: String,
    #[serde(default)]
    pub(super) archived: bool,
    /// What the caller may do; not every kind of token is told.
    #[serde(default)]
    pub(super) permissions: Option<RepositoryPermissions>,
}

/// What the caller may do with a repository.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct RepositoryPermissions {
    #[serde(default)]
    pub(super) push: bool,
}

/// Where a branch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// Where it was when the `ETag` was given.
    Unchanged,
    /// At this commit.
    At {
        /// Its id.
        commit: String,
        /// To ask with whether it has moved.
        etag: Option<HeaderValue>,
    },
    /// There is no such branch.
    Missing,
    /// There is no commit at all.
    EmptyRepository,
}

/// How much of a tree is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What is in the directory itself.
    One,
    /// All below it.
    All,
}

/// A directory.
#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    pub(super) tree: Vec<TreeItem>,
    /// There is more than GitHub sends at once.
    #[serde(default)]
    pub(super) truncated: bool,
}

/// Something in a directory.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TreeItem {
    pub(super) path: String,
    /// What tells a file from a link.
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) sha: String,
    #[serde(default)]
    pub(super) size: u64,
}

impl TreeItem {
    /// It is a file with content.
    pub(super) fn is_file(&self) -> bool {
        self.kind == "blob" && matches!(self.mode.as_str(), "100644" | "100755")
    }

    /// It is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.kind == "tree"
    }
}

/// A change of one file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TreeEdit {
    pub(super) path: String,
    mode: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    content: EditContent,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum EditContent {
    Content(String),
    /// `null` deletes.
    Sha(Option<String>),
}

impl TreeEdit {
    pub(super) fn text(path: String, text: String) -> Self {
        Self::new(path, EditContent::Content(text))
    }

    pub(super) fn blob(path: String, sha: String) -> Self {
        Self::new(path, EditContent::Sha(Some(sha)))
    }

    pub(super) fn deletion(path: String) -> Self {
        Self::new(path, EditContent::Sha(None))
    }

    fn new(path: String, content: EditContent) -> Self {
        Self { path, mode: "100644", kind: "blob", content }
    }

    /// About how long it is in a request.
    pub(super) fn size(&self) -> usize {
        let content = match &self.content {
            EditContent::Content(text) => text.len(),
            EditContent::Sha(_) => 40,
        };
        self.path.len() + content
    }
}

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Deserialize)]
struct Commit {
    tree: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[derive(Deserialize)]
struct Created {
    sha: String,
}

impl GithubClient {
    /// The repository itself. That it can't be seen is an error that says so.
    pub(super) async fn repository_info(&self) -> Result<RepositoryInfo, GithubError> {
        let answer = self.send(self.call(Method::GET, [])).await.map_err(|error| match error {
            GithubError::Status { status: 404, message, .. } => GithubError::Denied {
                verb: "see",
                resource: format!("the repository {}", self.repository),
                reason: format!(
                    "{message} (404): it does not exist (STORAGE_GITHUB_REPOSITORY), or the token or App has no access \
                     to it"
                ),
            },
            error => error,
        })?;
        answer.json()
    }

    /// Where a branch is. An answer that it is where it was costs nothing of GitHub's limit.
    pub(super) async fn head(&self, branch: &str, etag: Option<&HeaderValue>) -> Result<Head, GithubError> {
        let mut call = self.branch_call(Method::GET, "ref", branch);
        call.etag = etag.cloned();
        match self.send(call).await {
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => Ok(Head::Unchanged),
            Ok(answer) => {
                let commit = answer.json::<Reference>()?.object.sha;
                Ok(Head::At { commit, etag: answer.headers.get(header::ETAG).cloned() })
            }
            Err(GithubError::Status { status: 404, .. }) => {
                // What a token may not see is not found, either; that is no proof that nothing is there.
                self.repository_info().await?;
                Ok(Head::Missing)
            }
            Err(GithubError::Empty) => Ok(Head::EmptyRepository),
            Err(error) => Err(error),
        }
    }

    /// The tree of a commit.
    pub(super) async fn tree_of(&self, commit: &str) -> Result<String, GithubError> {
        let answer = self.send(self.call(Method::GET, ["git", "commits", commit])).await?;
        Ok(answer.json::<Commit>()?.tree.sha)
    }

    pub(super) async fn tree(&self, sha: &str, depth: Depth) -> Result<Tree, GithubError> {
        let mut call = self.call(Method::GET, ["git", "trees", sha]);
        call.query = (depth == Depth::All).then_some("recursive=1");
        self.send(call).await?.json()
    }

    /// The bytes of a file.
    pub(super) async fn blob(&self, sha: &str) -> Result<Bytes, GithubError> {
        let mut call = self.call(Method::GET, ["git", "blobs", sha]);
        call.accept = RAW;
        let answer = self.send(call).await?;
        if super::git::blob_id(&answer.body) != sha {
            return Err(answer.unexpected("the content is not that of this blob"));
        }
        Ok(answer.body)
    }

    pub(super) async fn create_blob(&self, bytes: &[u8]) -> Result<String, GithubError> {
        let body = json!({ "content": STANDARD.encode(bytes), "encoding": "base64" });
        self.create(&["git", "blobs"], body).await
    }

    /// A tree like `base`, edited.
    pub(super) async fn create_tree(&self, base: Option<&str>, edits: &[TreeEdit]) -> Result<String, GithubError> {
        let mut body = json!({ "tree": edits });
        if let Some(base) = base {
            body["base_tree"] = Value::from(base);
        }
        self.create(&["git", "trees"], body).await
    }

    pub(super) async fn create_commit(
        &self,
        message: &str,
        tree: &str,
        parent: Option<&str>,
        author: Option<&Author>,
    ) -> Result<String, GithubError> {
        let parents: Vec<&str> = parent.into_iter().collect();
        let mut body = json!({ "message": message, "tree": tree, "parents": parents });
        if let Some(author) = author {
            body["author"] = json!(author);
        }
        self.create(&["git", "commits"], body).await
    }

    /// Moves a branch on to a commit that follows the one it is at.
    pub(super) async fn move_branch(&self, branch: &str, commit: &str) -> Result<(), GithubError> {
        let mut call = self.branch_call(Method::PATCH, "refs", branch);
        call.body = Some(json!({ "sha": commit, "force": false }));
        self.update(branch, call).await
    }

    /// Makes a branch that is not there.
    pub(super) async fn create_branch(&self, branch: &str, commit: &str) -> Result<(), GithubError> {
        let mut call = self.call(Method::POST, ["git", "refs"]);
        call.body = Some(json!({ "ref": format!("refs/heads/{branch}"), "sha": commit }));
        self.update(branch, call).await
    }

    /// The first commit of an empty repository, which has none of git's objects to build on.
    pub(super) async fn create_first_file(
        &self,
        branch: &str,
        path: &str,
        message: &str,
        content: &[u8],
        author: Option<&Author>,
    ) -> Result<(), GithubError> {
        let mut call = self.call(Method::PUT, std::iter::once("contents").chain(path.split('/')));
        let mut body = json!({ "message": message, "content": STANDARD.encode(content), "branch": branch });
        if let Some(author) = author {
            body["author"] = json!(author);
        }
        call.body = Some(body);
        self.update(branch, call).await
    }

    async fn create(&self, path: &[&str], body: Value) -> Result<String, GithubError> {
        let mut call = self.call(Method::POST, path.iter().copied());
        call.body = Some(body);
        Ok(self.written(call).await?.json::<Created>()?.sha)
    }

    async fn update(&self, branch: &str, call: Call) -> Result<(), GithubError> {
        self.written(call).await.map(|_| ()).map_err(|error| match error {
            GithubError::Status { status: 422, message, .. } if is_about_another_state(&message) => {
                GithubError::Moved(message)
            }
            GithubError::Status { status: 422, message, .. } => GithubError::Denied {
                verb: "push to",
                resource: format!("the branch {branch} of {}", self.repository),
                reason: format!(
                    "{message} (422); if it is protected, let the token's owner or the App bypass the rules, or choose \
                     another branch (STORAGE_GITHUB_BRANCH)"
                ),
            },
            error => error,
        })
    }

    /// Who may read and not write is told that there is nothing to write to.
    async fn written(&self, call: Call) -> Result<Answer, GithubError> {
        self.send(call).await.map_err(|error| match error {
            GithubError::Status { status: 404, message, .. } => GithubError::Denied {
                verb: "write to",
                resource: format!("the repository {}", self.repository),
                reason: format!("{message} (404); the token or App needs the permission `contents: write`"),
            },
            error => error,
        })
    }

    fn branch_call(&self, method: Method, kind: &str, branch: &str) -> Call {
        let path = ["git", kind, "heads"].into_iter().map(str::to_owned);
        let mut call = self.call(method, []);
        call.path.extend(path.chain(branch.split('/').map(str::to_owned)));
        call
    }
}

fn is_about_another_state(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["not a fast forward", "reference does not exist", "reference already exists", "sha wasn't supplied"]
        .iter()
        .any(|words| message.contains(words))
}
