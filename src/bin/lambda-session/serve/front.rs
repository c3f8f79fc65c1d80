//! Which of AWS's front doors the gateway stands for, and what each takes.

use std::time::Duration;

use crate::event::Kind;
use crate::limits::ALB_LIMIT_BYTES;

/// A front door of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Front {
    /// HTTP API, payload format 2.0
    HttpApi,
    /// REST API with Lambda proxy integration and binaryMediaTypes */*
    Rest,
    /// Application Load Balancer as it is by default: one value a header
    Alb,
    /// Application Load Balancer with multi-value headers
    AlbMulti,
    /// Lambda function URL
    FunctionUrl,
}

impl Front {
    /// The kind of event it sends.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::HttpApi => Kind::HttpApi,
            Self::Rest => Kind::Rest,
            Self::Alb => Kind::Alb,
            Self::AlbMulti => Kind::AlbMulti,
            Self::FunctionUrl => Kind::FunctionUrl,
        }
    }

    /// How long it waits for the function where nobody says otherwise: HTTP API 30 s, REST API 29 s (API Gateway quotas,
    /// integration timeout). A function URL waits as long as the function may run, a load balancer too.
    pub(super) fn patience(self) -> Option<Duration> {
        match self {
            Self::HttpApi => Some(Duration::from_secs(30)),
            Self::Rest => Some(Duration::from_secs(29)),
            Self::Alb | Self::AlbMulti | Self::FunctionUrl => None,
        }
    }

    /// What it takes as the body of a request: 10 MB (API Gateway quotas, payload size), 1 MB behind a load balancer, and what
    /// fits into an event for a function URL (Lambda quotas, 6 MB).
    pub(super) fn body_limit_bytes(self) -> usize {
        match self {
            Self::HttpApi | Self::Rest => 10 * 1024 * 1024,
            Self::Alb | Self::AlbMulti => ALB_LIMIT_BYTES,
            Self::FunctionUrl => 6 * 1024 * 1024,
        }
    }

    /// What it takes as request line and headers: 10,240 bytes (API Gateway quotas), 65,536 (Application Load Balancer quotas,
    /// entire request header). A function URL has no documented limit.
    pub(super) fn head_limit_bytes(self) -> Option<usize> {
        match self {
            Self::HttpApi | Self::Rest => Some(10_240),
            Self::Alb | Self::AlbMulti => Some(65_536),
            Self::FunctionUrl => None,
        }
    }

    /// What it takes as the request line, and as one header: 16,384 bytes behind a load balancer (Application Load Balancer quotas).
    pub(super) fn line_limit_bytes(self) -> Option<usize> {
        self.is_load_balancer().then_some(16_384)
    }

    /// What it takes as the headers of an answer: 32,768 bytes behind a load balancer (its quotas, entire response header).
    pub(super) fn answer_head_limit_bytes(self) -> Option<usize> {
        self.is_load_balancer().then_some(32_768)
    }

    pub(super) fn is_load_balancer(self) -> bool {
        matches!(self, Self::Alb | Self::AlbMulti)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_front_door_waits_as_long_as_it_does_on_aws() {
        let rows = [
            (Front::HttpApi, Some(30)),
            (Front::Rest, Some(29)),
            (Front::FunctionUrl, None),
            (Front::Alb, None),
            (Front::AlbMulti, None),
        ];
        for (front, seconds) in rows {
            assert_eq!(front.patience(), seconds.map(Duration::from_secs), "{front:?}");
        }
    }
}
