//! One connection, by the simple query protocol: everything comes back as text.

use std::time::Duration;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// What a successful record gave. Of several statements in one record, rows are those of the last that gave any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub columns: usize,
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows affected or selected by the last statement.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// `None` if the error is not the server's: a lost connection, a timeout.
    pub code: Option<String>,
    message: String,
}

impl ServerError {
    /// `SQLSTATE: message`, then `DETAIL: ...` and `HINT: ...` on lines of their own.
    pub fn text(&self) -> String {
        match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The server says that it does not have the feature.
    pub fn is_unsupported(&self) -> bool {
        self.code.as_deref() == Some("0A000")
    }

    /// The message, without code, detail and hint.
    pub fn headline(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    pub fn code_or_unknown(&self) -> String {
        self.code.clone().unwrap_or_else(|| "XX000".to_string())
    }

    fn foreign(message: impl Into<String>) -> ServerError {
        ServerError { code: None, message: message.into() }
    }
}

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> ServerError {
        let Some(fields) = error.as_db_error() else {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            return ServerError::foreign(format!("{error}{cause}"));
        };
        let mut message = fields.message().to_string();
        for (name, text) in [("DETAIL", fields.detail()), ("HINT", fields.hint())] {
            if let Some(text) = text {
                message.push_str(&format!("\n{name}: {text}"));
            }
        }
        ServerError { code: Some(fields.code().code().to_string()), message }
    }
}

/// A session. It opens again after it was lost.
pub struct Session {
    url: String,
    setup: Option<String>,
    client: Option<Client>,
}

impl Session {
    /// `setup` is run after every opening.
    pub fn new(url: String, setup: Option<String>) -> Session {
        Session { url, setup, client: None }
    }

    pub async fn run(&mut self, sql: &str, limit: Duration) -> Result<Answer, ServerError> {
        let client = self.client().await?;
        let outcome = tokio::time::timeout(limit, client.simple_query(sql)).await;
        let Ok(messages) = outcome else {
            self.client = None;
            return Err(ServerError::foreign(format!("no answer within {} s", limit.as_secs())));
        };
        if client.is_closed() {
            self.client = None;
        }
        Ok(gather(messages?))
    }

    async fn client(&mut self) -> Result<&Client, ServerError> {
        if self.client.is_none() {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            // It ends with the client; what went wrong with it, the client's next call tells.
            tokio::spawn(async move { connection.await.unwrap_or_default() });
            if let Some(setup) = &self.setup {
                client.batch_execute(setup).await?;
            }
            self.client = Some(client);
        }
        Ok(self.client.as_ref().expect("it was opened a moment ago"))
    }
}

fn gather(messages: Vec<SimpleQueryMessage>) -> Answer {
    let mut answer = Answer::default();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                answer = Answer { columns: columns.len(), ..Answer::default() };
            }
            SimpleQueryMessage::Row(row) => {
                answer.rows.push((0..row.len()).map(|column| row.get(column).map(str::to_string)).collect());
            }
            SimpleQueryMessage::CommandComplete(count) => answer.count = count,
            _ => {}
        }
    }
    answer
}
