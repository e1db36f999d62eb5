//! Connection URLs: `postgresql://user:password@host:port/database?sslmode=...`.

use std::fmt;
use std::path::PathBuf;

/// How far TLS is insisted on. The names and meanings are libpq's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    /// Encrypted if the server can, without checking who it is.
    #[default]
    Prefer,
    /// Encrypted, without checking who the server is.
    Require,
    /// Encrypted, and the server's certificate is signed by `sslrootcert` for this host.
    VerifyFull,
}

/// Where to connect, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionUrl {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub tls: TlsMode,
    pub root_certificate: Option<PathBuf>,
    pub connect_seconds_max: u64,
    /// Sent to the server at startup, such as `options` and `application_name`.
    pub parameters: Vec<(String, String)>,
}

/// Why a text is not such a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

const PORT: u16 = 5433;
const USER: &str = "postgres";
const CONNECT_SECONDS: u64 = 10;

impl ConnectionUrl {
    /// Missing parts: host 127.0.0.1, port 5433, user postgres, the database named like the user. A missing password is
    /// taken from the environment's PGPASSWORD.
    pub fn parse(text: &str) -> Result<ConnectionUrl, UrlError> {
        let rest =
            text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")).ok_or_else(
                || UrlError(format!("\"{text}\" is not of the form postgresql://user@host:port/database")),
            )?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (credentials, None),
        };
        let (host, port) = split_address(address)?;
        let user = if user.is_empty() { USER.to_string() } else { decode(user)? };
        let mut url = ConnectionUrl {
            host: if host.is_empty() { "127.0.0.1".to_string() } else { decode(host)? },
            port,
            password: password.or_else(|| std::env::var("PGPASSWORD").ok()),
            database: if database.is_empty() { user.clone() } else { decode(database)? },
            user,
            tls: TlsMode::default(),
            root_certificate: None,
            connect_seconds_max: CONNECT_SECONDS,
            parameters: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| UrlError(format!("\"{pair}\" has no value")))?;
            url.set(name, decode(value)?)?;
        }
        Ok(url)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), UrlError> {
        let wrong = |value: &str| UrlError(format!("invalid value for {name}: \"{value}\""));
        match name {
            "sslmode" => {
                self.tls = match value.as_str() {
                    "disable" => TlsMode::Disable,
                    "allow" | "prefer" => TlsMode::Prefer,
                    "require" => TlsMode::Require,
                    "verify-ca" | "verify-full" => TlsMode::VerifyFull,
                    other => return Err(wrong(other)),
                }
            }
            "sslrootcert" => self.root_certificate = Some(value.into()),
            "connect_timeout" => self.connect_seconds_max = value.parse().map_err(|_| wrong(&value))?,
            "host" => self.host = value,
            "port" => self.port = value.parse().map_err(|_| wrong(&value))?,
            "user" => self.user = value,
            "password" => self.password = Some(value),
            "dbname" => self.database = value,
            "application_name" | "options" => self.parameters.push((name.to_string(), value)),
            other => return Err(UrlError(format!("the URL parameter \"{other}\" is not known"))),
        }
        Ok(())
    }
}

fn split_address(address: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    if port.is_empty() {
        return Ok((host, PORT));
    }
    let port = port.parse().map_err(|_| UrlError(format!("invalid port number: \"{port}\"")))?;
    Ok((host, port))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError(format!("invalid percent-encoding in \"{text}\""));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_read() {
        let url = ConnectionUrl::parse(
            "postgresql://al%40ice:p%3aw@db.example:6000/shop?sslmode=require&options=-c%20a=b",
        )
        .expect("it is right");
        assert_eq!((url.user.as_str(), url.password.as_deref()), ("al@ice", Some("p:w")));
        assert_eq!((url.host.as_str(), url.port, url.database.as_str()), ("db.example", 6000, "shop"));
        assert_eq!(url.tls, TlsMode::Require);
        assert_eq!(url.parameters, [("options".to_string(), "-c a=b".to_string())]);
    }

    #[test]
    fn missing_parts_have_defaults() {
        let url = ConnectionUrl::parse("postgres://[::1]").expect("it is right");
        assert_eq!(
            (url.host.as_str(), url.port, url.user.as_str(), url.database.as_str()),
            ("::1", 5433, USER, USER)
        );
        assert_eq!(ConnectionUrl::parse("postgres://bob@").expect("it is right").database, "bob");
    }

    #[test]
    fn mistakes_are_told() {
        for wrong in [
            "host=x",
            "postgresql://h:x/",
            "postgresql://h/?sslmode=maybe",
            "postgresql://h/?bogus=1",
            "postgresql://%zz@h",
        ] {
            assert!(ConnectionUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
