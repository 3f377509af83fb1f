//! Request metrics on the operations listener.

use reqwest::{Method, StatusCode};
use testing::Database;

use crate::service::Service;

#[tokio::test]
async fn requests_are_counted_by_operation_and_status() {
    let service = Service::start(Database::Sqlite).await;
    let someone = service.sign_up("밍기").await;
    for _ in 0..3 {
        assert_eq!(service.get("/me", &someone).await.status, StatusCode::OK);
    }
    assert_eq!(service.call(Method::GET, "/me", None, None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(service.get("/nothing", &someone).await.status, StatusCode::NOT_FOUND);
    let metrics = reqwest::get(format!("http://{}/metrics", service.ops_address)).await.expect("an answer");
    let metrics = metrics.text().await.expect("a body");
    for (operation, status, count) in [("get_me", 200, 3), ("get_me", 401, 1), ("none", 404, 1)] {
        let line =
            format!(r#"mingizuk_api_request_seconds_count{{operation="{operation}",status="{status}"}} {count}"#);
        assert!(metrics.lines().any(|other| other == line), "{line} is missing:\n{metrics}");
    }
}
