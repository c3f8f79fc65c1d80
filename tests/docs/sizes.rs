//! What docs/what-to-keep-in-a-session.md says a cookie has room for, to the byte.

use http::{Request, Response, StatusCode};
use lambda_session::config::{Settings, keyring};
use lambda_session::{Error, Session, SessionLayer, Values};
use tower::{Layer, ServiceExt, service_fn};

use crate::page::Page;

#[tokio::test]
async fn a_cookie_has_the_room_that_the_page_says() {
    let table = Page::read("docs/what-to-keep-in-a-session.md").table("| where | room for JSON |");
    let room = |row: &str| {
        let cell = &table.iter().find(|cells| cells[0] == row).unwrap()[1];
        cell.strip_suffix(" bytes").unwrap().replace(',', "").parse::<usize>().unwrap()
    };
    for (row, protection) in [("cookie, encrypted", "encrypted"), ("cookie, signed", "signed")] {
        let room = room(row);
        assert_eq!(keep(protection, room).await, StatusCode::OK, "{row}");
        assert_eq!(keep(protection, room + 1).await, StatusCode::INTERNAL_SERVER_ERROR, "{row}");
    }
}

/// What is answered to a session of so many bytes of JSON.
async fn keep(protection: &'static str, bytes: usize) -> StatusCode {
    let variables = move |name: &str| match name {
        "SECRET_KEY_BASE" => Some("4c8f7cd3a1b25e9d06af3b81c4e7f2950d6ab1e83f7c2946b5d0a8e1f3c69724".to_owned()),
        "SESSION_PROTECTION" => Some(protection.to_owned()),
        _ => None,
    };
    let settings = Settings::read(&variables).unwrap();
    let sessions: SessionLayer<Values> = settings.layer(keyring(&variables).unwrap()).unwrap();
    let handler = service_fn(move |request: Request<String>| async move {
        let mut session: Session = Session::of(&request).await?;
        // {"a":"…"}
        session.insert("a", "x".repeat(bytes - 8))?;
        Ok::<_, Error>(Response::new(String::new()))
    });
    sessions.layer(handler).oneshot(Request::new(String::new())).await.unwrap().status()
}
