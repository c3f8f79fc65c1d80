//! What parameters may hold, and that one fetch is one call.

use lambda_session::secrets::Secrets;
use serde_json::json;

use crate::listener::{ARN, Call, Ssm};
use crate::support::*;

/// SS1: every form of ring is read by one call with decryption, `GetParameter` for one name, and the first seals.
#[tokio::test]
async fn every_form_of_ring_is_one_call() {
    let ssm = Ssm::start().await;
    ssm.put(
        "/a/lines",
        &format!("# newest first\nv1 2020-01-02T00:00:00Z {}\nv1 2020-01-01T00:00:00Z {}\n", text(1), text(2)),
    )
    .put("/a/bare", &format!("{}\n", text(3)))
    .put("/a/older", &text(4))
    .put("/a/bare:previous", &text(5));
    let arn = format!("{ARN}/a/bare");
    let both = format!("{arn}, {arn}:previous");
    let dated_last = "/a/bare, /a/lines";
    for (parameters, expected) in [
        ("/a/lines", vec![1, 2]),
        ("/a/bare", vec![3]),
        (arn.as_str(), vec![3]),
        ("/a/bare:previous", vec![5]),
        ("/a/bare,/a/older", vec![3, 4]),
        // Not by the alphabet, in which the answer comes.
        ("/a/older,/a/bare", vec![4, 3]),
        ("/a/older,/a/bare:previous,/a/bare", vec![4, 3, 5]),
        (both.as_str(), vec![3, 5]),
        // Times in an older parameter do not make its keys seal.
        (dated_last, vec![3, 2, 1]),
    ] {
        let before = ssm.count();
        let ring = secrets(&ssm, parameters).fetch().await.unwrap();
        let mut found = seeds(&ring).await;
        found[1..].sort_unstable();
        let mut expected = expected;
        expected[1..].sort_unstable();
        assert_eq!(found, expected, "{parameters}");
        assert_eq!(ssm.count(), before + 1, "{parameters}");
    }
    let calls = ssm.calls();
    let expected = Call { action: "GetParameter".into(), body: json!({"Name": "/a/lines", "WithDecryption": true}) };
    assert_eq!(calls[0], expected);
    let body = json!({"Names": ["/a/older", "/a/bare"], "WithDecryption": true});
    assert_eq!(calls[5], Call { action: "GetParameters".into(), body });
}
