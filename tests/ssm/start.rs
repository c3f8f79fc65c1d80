//! The rest of a start, which goes on while the secrets are fetched.

use std::{process::Command, sync::Arc, time::Duration};

use lambda_session::SessionLayer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::listener::{Fault, Ssm};
use crate::support::*;

/// Says that this is the function that starts, and where the rest of its start has to go.
const ELSEWHERE: &str = "TEST_ELSEWHERE";

/// What the test below starts; as a test it does nothing.
#[tokio::test]
async fn the_function() {
    let Ok(elsewhere) = std::env::var(ELSEWHERE) else { return };
    let rest = async {
        let mut stream = TcpStream::connect(elsewhere).await.unwrap();
        stream.read_u8().await.unwrap();
        Ok(())
    };
    let (sessions, ()) = tokio::try_join!(<SessionLayer>::from_env(), rest).unwrap();
    println!("started: {sessions:?}");
}

/// SS1: one call, under way while the rest of the start is: SSM answers only once the rest has begun, and the rest ends only once
/// SSM was asked. Whichever waited for the other would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_start_goes_on_while_ssm_is_asked() {
    let (ssm, asked) = (Ssm::start().await, Arc::new(Notify::new()));
    ssm.put("/a", &text(1)).faults([Fault::Waits(Arc::clone(&asked))]);
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut function = Command::new(std::env::current_exe().unwrap());
    // Where no .env file is: `make invoke` leaves one in the clone.
    let nowhere = tempfile::tempdir().unwrap();
    function
        .current_dir(&nowhere)
        .args(["--exact", "start::the_function", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env(ELSEWHERE, elsewhere.local_addr().unwrap().to_string())
        .env("SESSION_KEYS_PARAMETER", "/a")
        .env("AWS_ENDPOINT_URL_SSM", ssm.url())
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "key");
    let function = tokio::task::spawn_blocking(move || function.output().unwrap());
    let meeting = async {
        let (mut rest, _) = elsewhere.accept().await.unwrap();
        asked.notify_one();
        while ssm.count() == 0 {
            tokio::task::yield_now().await;
        }
        rest.write_u8(0).await.unwrap();
        function.await.unwrap()
    };
    let output = tokio::time::timeout(Duration::from_secs(20), meeting).await.expect("one waits for the other");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("started: "), "{text}");
    assert_eq!(ssm.count(), 1);
}
