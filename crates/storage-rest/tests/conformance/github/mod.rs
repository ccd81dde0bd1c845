//! What a GitHub repository has to stand, by kind of trouble.

mod access;
mod files;
mod limits;
mod reading;
mod writing;

use testkit::github::RecordedRequest;

/// The branch of the scripted repository.
const MAIN: &str = "main";

/// The update of the branch, with which a commit becomes durable.
fn moves_branch(request: &RecordedRequest) -> bool {
    request.method == "PATCH"
}

fn reads(request: &RecordedRequest) -> bool {
    request.method == "GET"
}

fn writes(request: &RecordedRequest) -> bool {
    request.is_write()
}

fn asks_where_the_branch_is(request: &RecordedRequest) -> bool {
    request.method == "GET" && request.path.contains("/git/ref/")
}
