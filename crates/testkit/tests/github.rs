//! The scripted GitHub holds to GitHub's rules.

#![allow(clippy::unwrap_used, reason = "a test that is set up wrongly should stop at once")]

use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use testkit::github::{Permission, ScriptedGithub, TOKEN};

struct Caller {
    github: ScriptedGithub,
    http: Client,
}

impl Caller {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().user_agent("test").build().unwrap();
        Self { github: ScriptedGithub::start().await, http }
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: Value) -> Response {
        let url = self.github.url().join(&format!("repos/example/models/{path}")).unwrap();
        let mut request = self.http.request(method, url).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.ask(TOKEN, method, path, body).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn head(&self) -> String {
        let (status, body) = self.call(Method::GET, "git/ref/heads/main", Value::Null).await;
        assert_eq!(status, 200);
        body["object"]["sha"].as_str().unwrap().to_owned()
    }

    async fn tree(&self, edits: Value) -> (u16, Value) {
        let (_, head) = self.call(Method::GET, &format!("git/commits/{}", self.head().await), Value::Null).await;
        let base = head["tree"]["sha"].clone();
        self.call(Method::POST, "git/trees", json!({ "base_tree": base, "tree": edits })).await
    }

    async fn commit(&self, tree: &Value, parent: &str) -> String {
        let body = json!({ "message": "A change", "tree": tree["sha"], "parents": [parent] });
        let (status, body) = self.call(Method::POST, "git/commits", body).await;
        assert_eq!(status, 201);
        body["sha"].as_str().unwrap().to_owned()
    }

    async fn push(&self, commit: &str) -> (u16, Value) {
        self.call(Method::PATCH, "git/refs/heads/main", json!({ "sha": commit, "force": false })).await
    }
}

fn file(path: &str) -> Value {
    json!([{ "path": path, "mode": "100644", "type": "blob", "content": "x" }])
}

#[tokio::test]
async fn a_branch_only_moves_forward() {
    let caller = Caller::new().await;
    let head = caller.head().await;
    let (status, tree) = caller.tree(file("a/b")).await;
    assert_eq!(status, 201);
    let (one, two) = (caller.commit(&tree, &head).await, caller.commit(&tree, &head).await);
    assert_eq!(caller.push(&one).await.0, 200);
    let (status, body) = caller.push(&two).await;
    assert_eq!((status, body["message"].as_str()), (422, Some("Update is not a fast forward")));
    assert_eq!(caller.github.person().file("main", "a/b").unwrap(), "x");
    assert_eq!(caller.github.person().file("main", "README.md").unwrap(), "# Models\n");
}

#[tokio::test]
async fn trees_take_no_path_that_git_does_not_and_delete_nothing_that_is_not_there() {
    let caller = Caller::new().await;
    for path in [".git/x", "a/.GIT/x", "a//x", "../x", "/x"] {
        let (status, body) = caller.tree(file(path)).await;
        assert_eq!((status, body["message"].as_str()), (422, Some("tree.path contains a malformed path component")));
    }
    let deletion = |path: &str| json!([{ "path": path, "mode": "100644", "type": "blob", "sha": null }]);
    for path in ["nothing", "no/thing"] {
        let (status, body) = caller.tree(deletion(path)).await;
        assert_eq!((status, body["message"].as_str()), (422, Some("GitRPC::BadObjectState")));
    }
    assert_eq!(caller.tree(deletion("README.md")).await.0, 201);
}

#[tokio::test]
async fn what_has_not_changed_costs_nothing_and_the_rest_is_counted() {
    let caller = Caller::new().await;
    let answer = caller.ask(TOKEN, Method::GET, "git/ref/heads/main", Value::Null).await;
    let etag = answer.headers()["etag"].clone();
    assert_eq!(answer.headers()["x-ratelimit-remaining"], "4999");
    let url = caller.github.url().join("repos/example/models/git/ref/heads/main").unwrap();
    let again = caller.http.get(url).bearer_auth(TOKEN).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["x-ratelimit-remaining"], "4999");
    caller.github.set_remaining(0, Duration::from_mins(1));
    let refused = caller.ask(TOKEN, Method::GET, "", Value::Null).await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["x-ratelimit-remaining"].as_bytes()),
        (403, b"0".as_slice())
    );
}

#[tokio::test]
async fn tokens_may_do_what_they_may() {
    let caller = Caller::new().await;
    caller.github.set_token("reader", Permission::Read);
    caller.github.set_token("blind", Permission::None);
    for (token, status) in [("reader", 200), ("blind", 404), ("unknown", 401)] {
        let answer = caller.ask(token, Method::GET, "git/ref/heads/main", Value::Null).await;
        assert_eq!(answer.status().as_u16(), status, "{token}");
    }
    let answer = caller.ask("reader", Method::POST, "git/blobs", json!({ "content": "x" })).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["x-accepted-github-permissions"], "contents=write");
}
