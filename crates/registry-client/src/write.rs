//! Looks up and changes single resources of a registry. What is sent and what is answered is the API's own JSON.

use reqwest::Method;
use serde_json::Value;

use crate::{error::RegistryError, registry::RegistryClient};

impl RegistryClient {
    /// What a path below the API's root answers to a query; `None` when the API says that there is no such thing.
    pub async fn find(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, RegistryError> {
        let url = self.url(path, query);
        match self.endpoint.find(&url).await? {
            Some(body) => self.endpoint.parse(&url, &body).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a resource; answers what was made.
    pub async fn create(&self, path: &[&str], body: &Value) -> Result<Value, RegistryError> {
        self.write(Method::POST, path, body).await
    }

    /// Changes a resource; answers what became of it.
    pub async fn update(&self, path: &[&str], body: &Value) -> Result<Value, RegistryError> {
        self.write(Method::PATCH, path, body).await
    }

    async fn write(&self, method: Method, path: &[&str], body: &Value) -> Result<Value, RegistryError> {
        let url = self.endpoint.url(path);
        let answer = self.endpoint.write(method, &url, body).await?;
        self.endpoint.parse(&url, &answer)
    }
}
