//! SSM over HTTPS on a loopback port, as far as a cold start needs it: one parameter, read with `GetParameter`.

use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use crate::wire::Inbox;

/// A listening SSM. Its certificate is signed by an authority made for this run.
pub struct Ssm {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    bundle: PathBuf,
    roots: usize,
}

impl Ssm {
    /// Listens on a free port of 127.0.0.1; keys and certificates lie in this directory.
    pub fn listen(directory: &Path) -> Result<Self, String> {
        make_certificates(directory)?;
        let (bundle, roots) = make_bundle(directory)?;
        let config = Arc::new(server_config(directory).map_err(|error| format!("no TLS for SSM: {error}"))?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no port for SSM: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, count) = (Arc::clone(&config), Arc::clone(&count));
                // A program that ends leaves its connection as it is. What it was not answered, it says itself.
                thread::spawn(move || serve(stream, config, &count));
            }
        });
        Ok(Self { address, answered, bundle, roots })
    }

    /// What a program needs in its environment to find this SSM, to trust it, and to know what to ask for.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_SSM", format!("https://localhost:{}", self.address.port())),
            ("SSL_CERT_FILE", self.bundle.display().to_string()),
            ("SESSION_KEYS_PARAMETER", PARAMETER.to_owned()),
        ]
    }

    /// How many certificates a program finds in the bundle.
    pub fn roots(&self) -> usize {
        self.roots
    }

    /// How often the parameter was read since this was asked last.
    pub fn take_answered(&self) -> usize {
        self.answered.swap(0, Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answered: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut inbox = Inbox::default();
    while let Some(message) = inbox.read(&mut stream)? {
        let question: Value = serde_json::from_slice(&message.body)?;
        let (status, body) = if question == json!({"Name": PARAMETER, "WithDecryption": true}) {
            answered.fetch_add(1, Ordering::SeqCst);
            ("200 OK", parameter())
        } else {
            ("400 Bad Request", json!({"__type": "ValidationException"}))
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: \
             8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        stream.flush()?;
    }
    Ok(())
}

fn parameter() -> Value {
    json!({"Parameter": {
        "ARN": format!("arn:aws:ssm:eu-west-1:123456789012:parameter{PARAMETER}"),
        "DataType": "text",
        "LastModifiedDate": 1_795_369_800.123,
        "Name": PARAMETER,
        "Type": "SecureString",
        "Value": RING,
        "Version": 1
    }})
}

/// An authority and a server's certificate for localhost; RSA with 2,048 bits, as AWS's servers have.
fn make_certificates(directory: &Path) -> Result<(), String> {
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    for arguments in [
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem",
    ] {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(directory).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("cannot run openssl: {error}"))?;
        if !output.status.success() {
            return Err(format!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(())
}

/// The system's authorities and ours in one file, and how many they are: a program parses them all.
fn make_bundle(directory: &Path) -> Result<(PathBuf, usize), String> {
    let system = SYSTEM_BUNDLES.iter().find_map(|path| fs::read_to_string(path).ok());
    let system =
        system.ok_or_else(|| format!("no certificates of the system: none of {}", SYSTEM_BUNDLES.join(", ")))?;
    let (ours, bundle) = (directory.join("ca.pem"), directory.join("bundle.pem"));
    let text = fs::read_to_string(&ours).map_err(|error| format!("{}: {error}", ours.display()))?;
    let text = format!("{system}\n{text}");
    fs::write(&bundle, &text).map_err(|error| format!("{}: {error}", bundle.display()))?;
    Ok((bundle, text.matches("-----BEGIN CERTIFICATE-----").count()))
}

fn server_config(directory: &Path) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let certificates = CertificateDer::pem_file_iter(directory.join("server.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(certificates, key)?)
}

/// Where Debian and Amazon Linux keep them.
const SYSTEM_BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

const PARAMETER: &str = "/shop/prod/session/keys";

/// The secret of the token vectors, as `lambda-session keys` writes it.
const RING: &str = "v1 2026-01-01T00:00:00Z AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n";
