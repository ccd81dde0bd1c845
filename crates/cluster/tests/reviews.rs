//! Tokens that the cluster is asked about.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use cluster::{Cluster, ClusterReviewer};
use service::auth::{AccessReviewer, ReviewError, ServiceAction, TokenReviewer, User};
use testkit::kube::{Fault, KubeApi};

const WRITER: &str = "system:serviceaccount:bridge:normalizer";

async fn review(api: &KubeApi, token: &str, audience: Option<&str>) -> Result<Option<String>, ReviewError> {
    let cluster = Cluster::new(api.client(), "bridge");
    let user = ClusterReviewer::new(&cluster).review(&token.into(), audience).await?;
    Ok(user.map(|user| user.name))
}

fn on_registry(verb: &str) -> ServiceAction {
    ServiceAction { verb: verb.to_owned(), namespace: "models".to_owned(), name: "registry".to_owned() }
}

const READERS: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: registry-user, namespace: models}
rules:
- {apiGroups: [''], resources: [services], resourceNames: [registry], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: registry-users, namespace: models}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: registry-user}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:bridge'}
";

#[tokio::test]
async fn the_cluster_tells_whose_a_token_is() {
    let api = KubeApi::builder().token("of-writer", WRITER).start().await;
    assert_eq!(review(&api, "of-writer", None).await.unwrap().as_deref(), Some(WRITER));
    assert_eq!(review(&api, "made-up", None).await.unwrap(), None);
    api.revoke_token("of-writer");
    assert_eq!(review(&api, "of-writer", None).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_for_another_audience_is_nobodys() {
    let api = KubeApi::builder().token("for-server", WRITER).start().await;
    api.add_token_for("bridge", "for-bridge", WRITER);
    assert_eq!(review(&api, "for-bridge", Some("bridge")).await.unwrap().as_deref(), Some(WRITER));
    assert_eq!(review(&api, "for-bridge", Some("other")).await.unwrap(), None);
    assert_eq!(review(&api, "for-bridge", None).await.unwrap(), None);
    assert_eq!(review(&api, "for-server", Some("bridge")).await.unwrap(), None);
}

#[tokio::test]
async fn a_missing_permission_is_named_and_no_verdict() {
    let api = KubeApi::builder().token("mine", "system:serviceaccount:bridge:storage").start().await;
    let cluster = Cluster::new(api.client_for("mine"), "bridge");
    let error = ClusterReviewer::new(&cluster).review(&"of-writer".into(), None).await.unwrap_err().to_string();
    assert!(error.contains("tokenreviews") && error.contains("system:auth-delegator"), "{error}");
}

#[tokio::test]
async fn a_server_in_trouble_gives_no_verdict() {
    let api = KubeApi::builder().token("of-writer", WRITER).start().await;
    api.fail_next(|_| true, Fault::Status(500));
    let error = review(&api, "of-writer", None).await.unwrap_err().to_string();
    assert!(error.contains("500") && !error.contains("of-writer"), "{error}");
}

#[tokio::test]
async fn the_cluster_tells_what_a_user_may_do_by_its_groups_too() {
    let api = KubeApi::builder().namespace("models").token("of-writer", WRITER).manifests(READERS).start().await;
    let reviewer = ClusterReviewer::new(&Cluster::new(api.client(), "bridge"));
    let user = reviewer.review(&"of-writer".into(), None).await.unwrap().unwrap();
    assert!(user.groups.iter().any(|group| group == "system:serviceaccounts:bridge"), "{user:?}");
    assert!(reviewer.may(&user, &on_registry("get")).await.unwrap());
    assert!(!reviewer.may(&user, &on_registry("update")).await.unwrap());
    let without_groups = User { groups: Vec::new(), ..user.clone() };
    assert!(!reviewer.may(&without_groups, &on_registry("get")).await.unwrap());
    let other = ServiceAction { name: "other".to_owned(), ..on_registry("get") };
    assert!(!reviewer.may(&user, &other).await.unwrap());
}

#[tokio::test]
async fn that_access_cannot_be_reviewed_is_no_verdict() {
    let api = KubeApi::builder().token("mine", "system:serviceaccount:bridge:storage").start().await;
    let reviewer = ClusterReviewer::new(&Cluster::new(api.client_for("mine"), "bridge"));
    let error = reviewer.may(&User::default(), &on_registry("get")).await.unwrap_err().to_string();
    assert!(error.contains("subjectaccessreviews") && error.contains("system:auth-delegator"), "{error}");
}
