//! The HTTP API with the patience of tests.

use testing::{
    http::{ApiClient, ApiRequest, ApiResponse},
    patience::{PATIENCE, patiently},
};
use tokio::time::Instant;

pub struct Api(ApiClient);

impl Default for Api {
    fn default() -> Self {
        Self(ApiClient::new(PATIENCE))
    }
}

impl Api {
    pub async fn call(&self, node: &str, request: ApiRequest) -> ApiResponse {
        self.try_call(node, request).await.expect("the node answers")
    }

    /// `None` when there was no answer.
    pub async fn try_call(&self, node: &str, request: ApiRequest) -> Option<ApiResponse> {
        let path = request.path.clone();
        patiently(&path, self.0.send(node, request)).await.ok()
    }

    /// Runs a command until it has an outcome or a refusal.
    pub async fn settle(&self, node: &str, command: ApiRequest) -> ApiResponse {
        let path = command.path.clone();
        let settled = self.0.settle(node, command, Instant::now() + PATIENCE);
        patiently(&path, settled).await.unwrap_or_else(|error| panic!("{path}: {error:#}"))
    }
}
