//! One repository: its branches, its objects, and the rules by which GitHub lets them change.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::objects::{CommitObject, Flat, Item, Objects};

/// The clock of commits, which makes their ids the same on each run.
const FIRST_TIME: u64 = 1_700_000_000;

/// What a route answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: AnswerBody,
    pub(crate) etag: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum AnswerBody {
    Json(Value),
    Raw(Bytes),
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, body: AnswerBody::Json(body), etag: None }
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        Self::json(status, body)
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "Not Found")
    }
}

type Answered = Result<Answer, Answer>;

/// The state of the repository.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) default_branch: String,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) protected: BTreeSet<String>,
    pub(crate) archived: bool,
    /// How many items a recursive tree holds at most.
    pub(crate) tree_limit: usize,
    pub(crate) objects: Objects,
    commits: u64,
}

impl Repository {
    pub(crate) fn new() -> Self {
        Self {
            default_branch: "main".to_owned(),
            branches: BTreeMap::new(),
            protected: BTreeSet::new(),
            archived: false,
            tree_limit: 100_000,
            objects: Objects::default(),
            commits: 0,
        }
    }

    pub(crate) fn tip(&self, branch: &str) -> Option<(&str, &CommitObject)> {
        let sha = self.branches.get(branch)?;
        self.objects.commit(sha).map(|commit| (sha.as_str(), commit))
    }

    pub(crate) fn files(&self, branch: &str) -> Flat {
        self.tip(branch).map(|(_, commit)| self.objects.flat(&commit.tree)).unwrap_or_default()
    }

    /// Commits these files to a branch, which is made if need be, whatever protects it.
    pub(crate) fn commit_files(&mut self, branch: &str, files: &Flat, author: &str, message: &str) -> String {
        let tree = self.objects.add_tree(files);
        let parents = self.branches.get(branch).cloned().into_iter().collect();
        let commit = self.add_commit(tree, parents, author, message);
        self.branches.insert(branch.to_owned(), commit.clone());
        commit
    }

    fn add_commit(&mut self, tree: String, parents: Vec<String>, author: &str, message: &str) -> String {
        self.commits += 1;
        let (author, message) = (author.to_owned(), message.to_owned());
        let time = FIRST_TIME + self.commits;
        self.objects.add_commit(CommitObject { tree, parents, author, message, time })
    }

    fn not_empty(&self) -> Result<(), Answer> {
        if self.branches.is_empty() { Err(Answer::error(409, "Git Repository is empty.")) } else { Ok(()) }
    }

    /// `GET /git/ref/heads/{branch}`
    pub(crate) fn get_ref(&self, branch: &str) -> Answered {
        self.not_empty()?;
        let sha = self.branches.get(branch).ok_or_else(Answer::not_found)?;
        let mut answer = Answer::json(200, reference(branch, sha));
        answer.etag = Some(format!("W/\"{sha}\""));
        Ok(answer)
    }

    /// `POST /git/refs`
    pub(crate) fn create_ref(&mut self, body: &Value) -> Answered {
        self.not_empty()?;
        let branch = text(body, "ref").strip_prefix("refs/heads/").unwrap_or_default().to_owned();
        if branch.is_empty() {
            return Err(Answer::error(422, "Reference name must start with 'refs/'."));
        }
        let sha = text(body, "sha");
        if self.objects.commit(sha).is_none() {
            return Err(Answer::error(422, "Object does not exist"));
        }
        if self.branches.contains_key(&branch) {
            return Err(Answer::error(422, "Reference already exists"));
        }
        self.check_rules(&branch)?;
        self.branches.insert(branch.clone(), sha.to_owned());
        Ok(Answer::json(201, reference(&branch, sha)))
    }

    /// `PATCH /git/refs/heads/{branch}`
    pub(crate) fn update_ref(&mut self, branch: &str, body: &Value) -> Answered {
        let sha = text(body, "sha");
        let Some(current) = self.branches.get(branch) else {
            return Err(Answer::error(422, "Reference does not exist"));
        };
        if self.objects.commit(sha).is_none() {
            return Err(Answer::error(422, "Object does not exist"));
        }
        if body["force"] != true && !self.objects.is_ancestor(current, sha) {
            return Err(Answer::error(422, "Update is not a fast forward"));
        }
        self.check_rules(branch)?;
        self.branches.insert(branch.to_owned(), sha.to_owned());
        Ok(Answer::json(200, reference(branch, sha)))
    }

    fn check_rules(&self, branch: &str) -> Result<(), Answer> {
        if self.archived {
            return Err(Answer::error(403, "Repository was archived so is read-only."));
        }
        if self.protected.contains(branch) {
            let message = "Repository rule violations found\n\nChanges must be made through a pull request.\n\n";
            return Err(Answer::error(422, message));
        }
        Ok(())
    }

    /// `GET /git/commits/{sha}`
    pub(crate) fn get_commit(&self, sha: &str) -> Answered {
        let commit = self.objects.commit(sha).ok_or_else(Answer::not_found)?;
        Ok(Answer::json(200, shown(sha, commit)))
    }

    /// `POST /git/commits`
    pub(crate) fn create_commit(&mut self, body: &Value) -> Answered {
        self.not_empty()?;
        let tree = text(body, "tree");
        if self.objects.tree(tree).is_none() {
            return Err(Answer::error(422, "Tree SHA does not exist"));
        }
        let parents: Vec<String> =
            body["parents"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if parents.iter().any(|parent| self.objects.commit(parent).is_none()) {
            return Err(Answer::error(422, "Parent SHA does not exist or is not a commit object"));
        }
        let author = match &body["author"] {
            Value::Object(author) => format!("{} <{}>", plain(author.get("name")), plain(author.get("email"))),
            _ => "Machine <machine@users.example>".to_owned(),
        };
        let sha = self.add_commit(tree.to_owned(), parents, &author, text(body, "message"));
        Ok(Answer::json(201, self.objects.commit(&sha).map(|commit| shown(&sha, commit)).unwrap_or_default()))
    }

    /// `GET /git/trees/{sha}`
    pub(crate) fn get_tree(&self, sha: &str, recursive: bool) -> Answered {
        self.not_empty()?;
        let tree = self.objects.commit(sha).map_or(sha, |commit| &commit.tree);
        let items = self.objects.tree(tree).ok_or_else(Answer::not_found)?;
        let (listed, whole) = if recursive {
            self.objects.list(tree, self.tree_limit)
        } else {
            (items.iter().map(|(name, item)| (name.clone(), item.clone())).collect(), true)
        };
        let listed: Vec<Value> = listed.iter().map(|(path, item)| self.shown_item(path, item)).collect();
        Ok(Answer::json(200, json!({ "sha": sha, "tree": listed, "truncated": !whole })))
    }

    fn shown_item(&self, path: &str, item: &Item) -> Value {
        let mut shown = json!({ "path": path, "mode": item.mode, "type": item.kind(), "sha": item.sha });
        if let Some(blob) = self.objects.blob(&item.sha) {
            shown["size"] = json!(blob.len());
        }
        shown
    }

    /// `POST /git/trees`
    pub(crate) fn create_tree(&mut self, body: &Value) -> Answered {
        self.not_empty()?;
        let base = body.get("base_tree").and_then(Value::as_str);
        let base = base.map(|base| self.objects.commit(base).map_or(base, |commit| &commit.tree).to_owned());
        if base.as_ref().is_some_and(|base| self.objects.tree(base).is_none()) {
            return Err(Answer::error(422, "base_tree is not a valid tree oid"));
        }
        let edits = body["tree"].as_array().map(Vec::as_slice).unwrap_or_default();
        if edits.is_empty() {
            return Err(Answer::error(422, "Invalid tree info"));
        }
        let edits: Vec<_> = edits.iter().map(|edit| self.read_edit(edit)).collect::<Result<_, _>>()?;
        let sha = self.objects.edit_tree(base.as_deref(), edits);
        let sha = sha.map_err(|_| Answer::error(422, "GitRPC::BadObjectState"))?;
        let mut answer = self.get_tree(&sha, false)?;
        answer.status = 201;
        Ok(answer)
    }

    fn read_edit(&mut self, edit: &Value) -> Result<(String, Option<Item>), Answer> {
        let path = text(edit, "path").to_owned();
        let is_malformed = |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
        if path.split('/').any(is_malformed) {
            return Err(Answer::error(422, "tree.path contains a malformed path component"));
        }
        let sha = match (edit.get("sha"), edit.get("content").and_then(Value::as_str)) {
            (None, Some(content)) => self.objects.add_blob(Bytes::copy_from_slice(content.as_bytes())),
            (Some(Value::String(sha)), None) => {
                if self.objects.blob(sha).is_none() {
                    return Err(Answer::error(422, &format!("tree.sha {sha} is not a valid blob")));
                }
                sha.clone()
            }
            (Some(Value::Null), None) => return Ok((path, None)),
            _ => {
                let message =
                    "Must supply either tree.sha or tree.content. Request will be rejected if both are present.";
                return Err(Answer::error(422, message));
            }
        };
        Ok((path, Some(Item { mode: text(edit, "mode").to_owned(), sha })))
    }

    /// `GET /git/blobs/{sha}`
    pub(crate) fn get_blob(&self, sha: &str, raw: bool) -> Answered {
        let bytes = self.objects.blob(sha).ok_or_else(Answer::not_found)?;
        if raw {
            return Ok(Answer { status: 200, body: AnswerBody::Raw(bytes.clone()), etag: None });
        }
        let content = STANDARD.encode(bytes);
        Ok(Answer::json(200, json!({ "sha": sha, "size": bytes.len(), "encoding": "base64", "content": content })))
    }

    /// `POST /git/blobs`
    pub(crate) fn create_blob(&mut self, body: &Value) -> Answered {
        self.not_empty()?;
        let content = text(body, "content");
        let bytes = if body["encoding"] == "base64" {
            STANDARD.decode(content).map_err(|_| Answer::error(422, "Problems parsing base64 content"))?
        } else {
            content.as_bytes().to_vec()
        };
        let sha = self.objects.add_blob(bytes.into());
        Ok(Answer::json(201, json!({ "sha": sha })))
    }

    /// `PUT /contents/{path}`
    pub(crate) fn put_contents(&mut self, path: &str, body: &Value) -> Answered {
        let branch = body["branch"].as_str().unwrap_or(&self.default_branch).to_owned();
        if !self.branches.is_empty() && !self.branches.contains_key(&branch) {
            return Err(Answer::error(404, &format!("Branch {branch} not found")));
        }
        self.check_rules(&branch)?;
        let mut files = self.files(&branch);
        if files.contains_key(path) && body.get("sha").is_none() {
            return Err(Answer::error(422, "Invalid request.\n\n\"sha\" wasn't supplied."));
        }
        let bytes =
            STANDARD.decode(text(body, "content")).map_err(|_| Answer::error(422, "content is not valid Base64"))?;
        let sha = self.objects.add_blob(bytes.into());
        files.insert(path.to_owned(), Item { mode: "100644".to_owned(), sha: sha.clone() });
        let commit = self.commit_files(&branch, &files, "Machine <machine@users.example>", text(body, "message"));
        Ok(Answer::json(201, json!({ "content": { "path": path, "sha": sha }, "commit": { "sha": commit } })))
    }
}

fn reference(branch: &str, sha: &str) -> Value {
    json!({ "ref": format!("refs/heads/{branch}"), "object": { "type": "commit", "sha": sha } })
}

fn shown(sha: &str, commit: &CommitObject) -> Value {
    let parents: Vec<Value> = commit.parents.iter().map(|parent| json!({ "sha": parent })).collect();
    json!({ "sha": sha, "message": commit.message, "tree": { "sha": commit.tree }, "parents": parents })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    plain(value.get(field))
}

fn plain(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}
