//! A small PostgreSQL client: startup, simple and extended queries, everything in text format.
//!
//! Statements with parameters are prepared once per connection, by name, as drivers do it.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use workload::{Answer, Client, Failure, Parameter};

const PROTOCOL_VERSION: i32 = 3 << 16;
/// Nothing that a workload asks for is longer.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A connection.
///
/// - `stream` is gone once the connection is lost; no statement is sent after that.
/// - `prepared` holds the texts that the server has acknowledged, with their names.
pub struct ProtocolClient {
    stream: Option<DuplexStream>,
    prepared: BTreeMap<String, String>,
    /// Statements until the client hangs up without waiting for the answer; `None`: it never does.
    statements_left: Option<u64>,
}

/// What came back for one request.
#[derive(Default)]
struct Response {
    answer: Answer,
    error: Option<Failure>,
    parsed: bool,
}

impl ProtocolClient {
    /// Brings a fresh stream to a session.
    pub async fn start(
        stream: DuplexStream,
        statements_left: Option<u64>,
    ) -> Result<ProtocolClient, Failure> {
        let mut client = ProtocolClient { stream: Some(stream), prepared: BTreeMap::new(), statements_left };
        let mut body = PROTOCOL_VERSION.to_be_bytes().to_vec();
        for text in ["user", "postgres", "database", "postgres"] {
            push_text(&mut body, text);
        }
        body.push(0);
        let mut message = (body.len() as i32 + 4).to_be_bytes().to_vec();
        message.extend_from_slice(&body);
        client.send(&message).await?;
        client.receive().await?.error.map_or(Ok(client), Err)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let stream = self.stream.as_mut().ok_or_else(|| Failure::lost("the connection is gone"))?;
        let sent = stream.write_all(bytes).await;
        sent.map_err(|error| self.lose(&format!("sending: {error}")))
    }

    fn lose(&mut self, why: &str) -> Failure {
        self.stream = None;
        Failure::lost(why)
    }

    /// Takes messages in until the server is ready for the next request.
    async fn receive(&mut self) -> Result<Response, Failure> {
        let mut response = Response::default();
        loop {
            let (kind, body) = match self.read_message().await {
                Ok(message) => message,
                // What the server said before it hung up is worth more than that it did.
                Err(failure) => return response.error.take().map_or(Err(failure), Err),
            };
            match kind {
                b'Z' => return Ok(response),
                b'D' => response.answer.rows.push(row(&body)?),
                b'C' => response.answer.count = count(&body),
                b'E' => response.error = Some(error(&body)),
                b'1' => response.parsed = true,
                _ => {}
            }
        }
    }

    async fn read_message(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        let stream = self.stream.as_mut().ok_or_else(|| Failure::lost("the connection is gone"))?;
        let mut head = [0; 5];
        if let Err(error) = stream.read_exact(&mut head).await {
            return Err(self.lose(&format!("receiving: {error}")));
        }
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let Some(length) = length.filter(|length| *length <= MESSAGE_BYTES_MAX) else {
            return Err(Failure::nonsense("a message of impossible length"));
        };
        let mut body = vec![0; length];
        match stream.read_exact(&mut body).await {
            Ok(_) => Ok((head[0], body)),
            Err(error) => Err(self.lose(&format!("receiving: {error}"))),
        }
    }

    /// Whether the client hangs up now.
    fn hangs_up(&mut self) -> bool {
        match &mut self.statements_left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    async fn run(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Answer, Failure> {
        let known = self.prepared.get(sql).cloned();
        let name = known.clone().unwrap_or_else(|| format!("s{}", self.prepared.len()));
        let request = match parameters {
            [] => query(sql),
            parameters => extended(sql, &name, known.is_none(), parameters),
        };
        self.send(&request).await?;
        if self.hangs_up() {
            return Err(self.lose("the client hung up"));
        }
        let response = self.receive().await?;
        if response.parsed {
            self.prepared.insert(sql.to_string(), name);
        }
        response.error.map_or(Ok(response.answer), Err)
    }
}

impl Client for ProtocolClient {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter],
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(self.run(sql, parameters))
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn push_message(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
}

fn query(sql: &str) -> Vec<u8> {
    let (mut request, mut body) = (Vec::new(), Vec::new());
    push_text(&mut body, sql);
    push_message(&mut request, b'Q', &body);
    request
}

/// Parse if need be, then Bind, Execute and Sync.
fn extended(sql: &str, name: &str, parse: bool, parameters: &[Parameter]) -> Vec<u8> {
    let mut request = Vec::new();
    if parse {
        let mut body = Vec::new();
        push_text(&mut body, name);
        push_text(&mut body, sql);
        body.extend_from_slice(&0_i16.to_be_bytes());
        push_message(&mut request, b'P', &body);
    }
    let mut body = Vec::new();
    push_text(&mut body, "");
    push_text(&mut body, name);
    body.extend_from_slice(&0_i16.to_be_bytes());
    body.extend_from_slice(&(parameters.len() as i16).to_be_bytes());
    for parameter in parameters {
        let text = parameter.text();
        body.extend_from_slice(&(text.len() as i32).to_be_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    body.extend_from_slice(&0_i16.to_be_bytes());
    push_message(&mut request, b'B', &body);
    let mut body = Vec::new();
    push_text(&mut body, "");
    body.extend_from_slice(&0_i32.to_be_bytes());
    push_message(&mut request, b'E', &body);
    push_message(&mut request, b'S', &[]);
    request
}

fn row(body: &[u8]) -> Result<Vec<Option<String>>, Failure> {
    let short = || Failure::nonsense("a row that ends too early");
    let (columns, mut rest) = body.split_first_chunk::<2>().ok_or_else(short)?;
    let mut row = Vec::new();
    for _ in 0..i16::from_be_bytes(*columns) {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        rest = after;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            continue;
        };
        let (value, after) = rest.split_at_checked(length).ok_or_else(short)?;
        rest = after;
        let text = std::str::from_utf8(value).map_err(|_| Failure::nonsense("a value that is not UTF-8"))?;
        row.push(Some(text.to_string()));
    }
    Ok(row)
}

/// The number at the end of a command tag; 0 if it has none.
fn count(body: &[u8]) -> u64 {
    let tag = String::from_utf8_lossy(body);
    tag.trim_end_matches('\0').rsplit(' ').next().and_then(|last| last.parse().ok()).unwrap_or_default()
}

fn error(body: &[u8]) -> Failure {
    let mut failure = Failure::nonsense("an error without fields");
    for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        let text = String::from_utf8_lossy(&field[1..]).into_owned();
        match field[0] {
            b'C' => failure.code = Some(text),
            b'M' => failure.message = text,
            _ => {}
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_are_written() {
        let body = [&2_i16.to_be_bytes()[..], &1_i32.to_be_bytes(), b"7", &(-1_i32).to_be_bytes()].concat();
        assert_eq!(row(&body), Ok(vec![Some("7".to_string()), None]));
        assert!(row(&body[..5]).is_err());
        assert_eq!((count(b"INSERT 0 3\0"), count(b"SELECT 12\0"), count(b"BEGIN\0")), (3, 12, 0));
        assert_eq!(error(b"SERROR\0C40001\0Mtry again\0\0"), Failure::server("40001", "try again"));
    }
}
