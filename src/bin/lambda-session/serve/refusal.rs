//! What each front door answers where the function's answer is not to be had. None says why: that is for the log.

use http::{Response, StatusCode};

use crate::serve::front::Front;
use crate::serve::reply::{Reply, id_header};

/// Why a request gets an answer that is not the function's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No request that a function is asked with, for this reason.
    BadRequest(&'static str),
    /// It was sent to a host that is not this machine.
    Host,
    Method,
    /// The request line, a header or all of them are over the limit.
    LargeHead(Excess),
    /// The body, or the event that holds it, is over the limit.
    LargeBody(Excess),
    /// The function failed, or what it posted is no HTTP answer.
    NoAnswer,
    /// The front door did not wait any longer.
    Impatient,
}

/// So much of something, and how much of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) what: &'static str,
    pub(super) bytes: usize,
    pub(super) limit: usize,
}

impl Refusal {
    /// Its answer, in the words of `front`, which calls the request `id`.
    pub(super) fn reply(self, front: Front, id: &str) -> Reply {
        let (status, kind, body) = self.parts(front);
        let mut response = Response::builder().status(status).header("content-type", kind);
        if let Some(name) = id_header(front) {
            response = response.header(name, id);
        }
        response.body(body.into()).unwrap_or_default()
    }

    /// Why, for whoever develops the function.
    pub(super) fn cause(self) -> String {
        match self {
            Self::BadRequest(reason) => reason.to_owned(),
            Self::Host => "its Host is not this machine; serve --host NAME answers to another".to_owned(),
            Self::Method => "no front door takes this method".to_owned(),
            Self::LargeHead(Excess { what, bytes, limit }) | Self::LargeBody(Excess { what, bytes, limit }) => {
                format!("{what} of {bytes} bytes, over the limit of {limit} bytes")
            }
            Self::NoAnswer => "the function gave no answer".to_owned(),
            Self::Impatient => "the front door waited no longer".to_owned(),
        }
    }

    pub(super) fn status(self, front: Front) -> StatusCode {
        self.parts(front).0
    }

    fn parts(self, front: Front) -> (StatusCode, &'static str, String) {
        match front {
            Front::HttpApi => {
                let (status, message) = self.of_http_api();
                (status, JSON, format!(r#"{{"message":"{message}"}}"#))
            }
            Front::Rest => {
                let (status, message) = self.of_rest();
                (status, JSON, format!(r#"{{"message": "{message}"}}"#))
            }
            Front::FunctionUrl => {
                let (status, message) = self.of_function_url();
                (status, JSON, message.to_owned())
            }
            Front::Alb | Front::AlbMulti => {
                let status = self.of_alb();
                let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
                let head = format!("<html>\r\n<head><title>{title}</title></head>\r\n");
                (
                    status,
                    "text/html",
                    format!("{head}<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"),
                )
            }
        }
    }

    /// 503 and 500 are API Gateway's for an integration that takes too long, or fails; the limits' texts are those of their
    /// status.
    fn of_http_api(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "Bad Request"),
            Self::Host => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
            Self::LargeHead(_) => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large"),
            Self::LargeBody(_) => (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Self::NoAnswer => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Self::Impatient => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }

    /// API Gateway's gateway responses of a REST API: `INTEGRATION_FAILURE`, `INTEGRATION_TIMEOUT`, `REQUEST_TOO_LARGE`.
    fn of_rest(self) -> (StatusCode, &'static str) {
        match self {
            Self::LargeBody(_) => (StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
            Self::NoAnswer => (StatusCode::BAD_GATEWAY, "Internal server error"),
            Self::Impatient => (StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out"),
            other => other.of_http_api(),
        }
    }

    fn of_function_url(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoAnswer => (StatusCode::BAD_GATEWAY, "Internal Server Error"),
            Self::Impatient => (StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout"),
            other => other.of_http_api(),
        }
    }

    /// As "Troubleshoot your Application Load Balancers" lists them: 400 for headers too large, 405 for TRACE, 502 for a Lambda
    /// function that fails.
    fn of_alb(self) -> StatusCode {
        match self {
            Self::LargeHead(_) => StatusCode::BAD_REQUEST,
            other => other.of_function_url().0,
        }
    }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Excess = Excess { what: "a body", bytes: 3, limit: 2 };

    #[test]
    fn a_failing_function_is_met_in_each_front_doors_own_words() {
        let html = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
        let rows = [
            (Front::HttpApi, Refusal::NoAnswer, 500, r#"{"message":"Internal Server Error"}"#),
            (Front::HttpApi, Refusal::Impatient, 503, r#"{"message":"Service Unavailable"}"#),
            (Front::HttpApi, Refusal::LargeBody(BODY), 413, r#"{"message":"Request Entity Too Large"}"#),
            (Front::HttpApi, Refusal::Host, 403, r#"{"message":"Forbidden"}"#),
            (Front::Rest, Refusal::NoAnswer, 502, r#"{"message": "Internal server error"}"#),
            (Front::Rest, Refusal::Impatient, 504, r#"{"message": "Endpoint request timed out"}"#),
            (Front::FunctionUrl, Refusal::NoAnswer, 502, "Internal Server Error"),
            (Front::Alb, Refusal::NoAnswer, 502, html),
            (Front::AlbMulti, Refusal::NoAnswer, 502, html),
            (Front::Rest, Refusal::LargeBody(BODY), 413, r#"{"message": "Request Too Long"}"#),
            (Front::Rest, Refusal::LargeHead(BODY), 431, r#"{"message": "Request Header Fields Too Large"}"#),
            (Front::FunctionUrl, Refusal::Impatient, 504, "Gateway Timeout"),
            (Front::FunctionUrl, Refusal::Method, 405, "Method Not Allowed"),
        ];
        for (front, refusal, status, body) in rows {
            let (seen, _, text) = refusal.parts(front);
            assert_eq!((seen.as_u16(), text.as_str()), (status, body), "{front:?} {refusal:?}");
        }
    }

    #[test]
    fn a_load_balancer_has_statuses_of_its_own() {
        for (refusal, status) in [
            (Refusal::BadRequest("why"), 400),
            (Refusal::Host, 403),
            (Refusal::Method, 405),
            (Refusal::LargeHead(BODY), 400),
            (Refusal::LargeBody(BODY), 413),
            (Refusal::NoAnswer, 502),
            (Refusal::Impatient, 504),
        ] {
            assert_eq!(refusal.status(Front::Alb).as_u16(), status, "{refusal:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_too_much() {
        assert_eq!(Refusal::LargeBody(BODY).cause(), "a body of 3 bytes, over the limit of 2 bytes");
    }

    #[test]
    fn a_front_door_names_the_request_that_it_refuses() {
        for (front, name) in [(Front::HttpApi, "apigw-requestid"), (Front::Rest, "x-amzn-requestid")] {
            assert_eq!(Refusal::NoAnswer.reply(front, "id").headers()[name], "id", "{front:?}");
        }
    }
}
