//! Workloads against a server that speaks PostgreSQL's protocol: their connections, by tokio-postgres.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{NoTls, SimpleQueryMessage, Statement};
use workload::{Answer, Client, Connector, Failure, Parameter};

/// A statement that has no answer by then is given up, and the connection with it.
const STATEMENT_SECONDS_MAX: u64 = 30;

/// Connects to wherever the server is now.
pub struct Database {
    url: Mutex<String>,
}

impl Database {
    pub fn new(url: String) -> Database {
        Database { url: Mutex::new(url) }
    }

    /// The server has moved: new connections go there.
    pub fn set_url(&self, url: String) {
        *self.url.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = url;
    }
}

impl Connector for Database {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Client>, Failure>> {
        let url = self.url.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        Box::pin(async move {
            let (client, connection) = bounded(tokio_postgres::connect(&url, NoTls)).await?;
            // It ends with the client; what went wrong with it, the client's next call tells.
            tokio::spawn(async move { connection.await.unwrap_or_default() });
            Ok(Box::new(DatabaseClient { client, prepared: BTreeMap::new() }) as Box<dyn Client>)
        })
    }
}

struct DatabaseClient {
    client: tokio_postgres::Client,
    prepared: BTreeMap<String, Statement>,
}

async fn bounded<T>(operation: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
    let limit = Duration::from_secs(STATEMENT_SECONDS_MAX);
    match tokio::time::timeout(limit, operation).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(Failure::nonsense(format!("no answer within {STATEMENT_SECONDS_MAX} s"))),
    }
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(fields) => Failure::server(fields.code().code(), fields.message()),
        None => Failure::lost(error.source().map_or(error.to_string(), |cause| format!("{error}: {cause}"))),
    }
}

impl DatabaseClient {
    async fn simple(&mut self, sql: &str) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        for message in bounded(self.client.simple_query(sql)).await? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let row = (0..row.len()).map(|column| row.get(column).map(str::to_string));
                    answer.rows.push(row.collect());
                }
                SimpleQueryMessage::CommandComplete(count) => answer.count = count,
                _ => {}
            }
        }
        Ok(answer)
    }

    async fn prepared(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Answer, Failure> {
        let statement = match self.prepared.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = bounded(self.client.prepare(sql)).await?;
                self.prepared.insert(sql.to_string(), statement.clone());
                statement
            }
        };
        let values: Vec<TextValue> = parameters.iter().map(|parameter| TextValue(parameter.text())).collect();
        let client = &self.client;
        let (rows, count) = bounded(async {
            let stream = client.query_raw(&statement, values).await?;
            let mut stream = std::pin::pin!(stream);
            let mut rows = Vec::new();
            while let Some(row) = stream.try_next().await? {
                let row: Result<Vec<Option<String>>, _> = (0..row.len())
                    .map(|column| Ok(row.try_get::<_, Option<PrintedValue>>(column)?.map(|value| value.0)))
                    .collect();
                rows.push(row?);
            }
            Ok((rows, stream.rows_affected().unwrap_or_default()))
        })
        .await?;
        Ok(Answer { rows, count })
    }
}

impl Client for DatabaseClient {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter],
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            if parameters.is_empty() { self.simple(sql).await } else { self.prepared(sql, parameters).await }
        })
    }
}

/// A parameter in text format, whatever its type.
#[derive(Debug)]
struct TextValue(String);

impl ToSql for TextValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A value that came in binary format, as PostgreSQL would print it.
struct PrintedValue(String);

impl<'a> FromSql<'a> for PrintedValue {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<PrintedValue, Box<dyn Error + Sync + Send>> {
        Ok(PrintedValue(match *kind {
            Type::INT8 => i64::from_be_bytes(raw.try_into()?).to_string(),
            Type::INT4 => i32::from_be_bytes(raw.try_into()?).to_string(),
            _ => std::str::from_utf8(raw)?.to_string(),
        }))
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::VARCHAR].contains(kind)
    }
}
