//! `run` serves several requests at once where Lambda sends several: each worker has a service of its own.
struct Once;

impl tower_service::Service<lambda_http::Request> for Once {
    type Response = http::Response<lambda_http::Body>;
    type Error = lambda_session::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: lambda_http::Request) -> Self::Future {
        std::future::ready(Ok(Default::default()))
    }
}

fn main() {
    let _ = lambda_session::run(Once);
}
