//! One connection to one memcached.
//!
//! Built on the `memcache` crate's async connection, not on its pooling client. The client dials
//! again by itself when a pooled connection has died, and so would hide exactly the reconnect that
//! has to be followed by the question after the server's contents; it also resolves a name once
//! for ever. The connection has no limits of time of its own: every exchange here is under one.
//! After any failure but a refusal the stream may hold half an answer: the caller drops the link.
//!
//! It speaks memcached's meta commands, so it needs memcached 1.6 or later. Flags are left out,
//! which stores 0.

use std::io;
use std::time::Duration;

use memcache::exp::{
    AsyncMetaConnection, DeleteOptions, Error as ClientError, MetaCommand, MetaResponse, ReturnCode, SetMode,
    SetOptions, build_delete, build_set,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Item, Ttl};

/// How much of a server's own words is repeated.
const WORDS: usize = 100;

/// Why a server did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// No connection.
    #[error("it cannot be reached")]
    Unreachable(#[source] io::Error),
    /// No connection in time.
    #[error("it did not accept a connection within {0:?}")]
    ConnectSlow(Duration),
    /// No answer in time; the commands may have been executed.
    #[error("it did not answer within {0:?}")]
    Slow(Duration),
    /// The connection broke; the commands may have been executed.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// The server ended the connection.
    #[error("it closed the connection")]
    HungUp,
    /// An old memcached, or one that wants a login.
    #[error("it does not know the meta commands; memcached 1.6 or later is needed, without a login")]
    NotUnderstood,
    /// Something else than memcached. Its words are not repeated: an echo service's are ours.
    #[error("its answer is not memcached's")]
    Garbled,
    /// The server is well and did not do it.
    #[error("it refused: {0}")]
    Refused(String),
}

/// One thing to be done on the server.
#[derive(Debug)]
pub(super) enum Command {
    /// Store in place of anything.
    Store(Item),
    /// Have nothing there.
    Delete(String),
}

/// What became of an `add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Stored: there was nothing.
    Stored,
    /// Not stored: it was there.
    Existed,
}

/// A connection on which nothing is outstanding.
pub(super) struct Link {
    connection: AsyncMetaConnection,
    /// The same socket once more, to notice while idle that the server has gone.
    tap: TcpStream,
    limit: Duration,
}

impl Link {
    /// Connects, within `limit` for the name and the handshake together; each later exchange gets
    /// the same limit.
    pub(super) async fn connect(server: &str, limit: Duration) -> Result<Self, LinkError> {
        let stream = timeout(limit, TcpStream::connect(server))
            .await
            .map_err(|_| LinkError::ConnectSlow(limit))?
            .map_err(LinkError::Unreachable)?;
        let twice = |stream: TcpStream| {
            stream.set_nodelay(true)?;
            let stream = stream.into_std()?;
            let tap = TcpStream::from_std(stream.try_clone()?)?;
            Ok((TcpStream::from_std(stream)?, tap))
        };
        let (stream, tap) = twice(stream).map_err(LinkError::Unreachable)?;
        Ok(Self { connection: AsyncMetaConnection::from_stream(stream), tap, limit })
    }

    /// Stores a one-byte value unless there is one.
    pub(super) async fn add(&mut self, key: &str, ttl: Ttl) -> Result<Added, LinkError> {
        let command = set(key, b"1", ttl, SetMode::Add)?;
        let answer = self.exchange(&[command]).await?.pop().ok_or(LinkError::Garbled)?;
        match answer?.rc() {
            ReturnCode::Hd => Ok(Added::Stored),
            ReturnCode::Ns => Ok(Added::Existed),
            _ => Err(LinkError::Garbled),
        }
    }

    /// Executes all commands and tells of each whether the server refused it.
    pub(super) async fn execute(
        &mut self,
        commands: &[Command],
    ) -> Result<Vec<Result<(), LinkError>>, LinkError> {
        let wire = commands.iter().map(Command::wire).collect::<Result<Vec<_>, _>>()?;
        let answers = self.exchange(&wire).await?;
        let judge = |(command, answer): (&Command, Result<MetaResponse, LinkError>)| {
            let answer = match answer {
                Ok(answer) => answer,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match (command, answer.rc()) {
                (Command::Store(_) | Command::Delete(_), ReturnCode::Hd)
                | (Command::Delete(_), ReturnCode::Nf) => Ok(Ok(())),
                (Command::Store(_), ReturnCode::Ns) => Ok(Err(LinkError::Refused("not stored".to_owned()))),
                _ => Err(LinkError::Garbled),
            }
        };
        commands.iter().zip(answers).map(judge).collect()
    }

    /// Completes when the server ends the connection or speaks without having been asked; to be
    /// awaited only between exchanges. Dropping it loses nothing.
    pub(super) async fn hang_up(&self) -> LinkError {
        match self.tap.peek(&mut [0]).await {
            Ok(0) => LinkError::HungUp,
            Ok(_) => LinkError::Garbled,
            Err(error) => LinkError::Broken(error),
        }
    }

    /// One answer a command; the inner error is a refusal, after which the stream is still sound.
    async fn exchange(
        &mut self,
        commands: &[MetaCommand],
    ) -> Result<Vec<Result<MetaResponse, LinkError>>, LinkError> {
        let connection = &mut self.connection;
        let talk = async {
            for command in commands {
                connection.send(command).await.map_err(sort)?;
            }
            let mut answers = Vec::with_capacity(commands.len());
            for _ in commands {
                answers.push(match connection.receive().await.map_err(sort) {
                    Ok(answer) => Ok(answer),
                    Err(refusal @ LinkError::Refused(_)) => Err(refusal),
                    Err(error) => return Err(error),
                });
            }
            Ok(answers)
        };
        timeout(self.limit, talk).await.map_err(|_| LinkError::Slow(self.limit))?
    }
}

impl Command {
    fn wire(&self) -> Result<MetaCommand, LinkError> {
        match self {
            Self::Store(item) => set(&item.key, &item.value, item.ttl, SetMode::Set),
            Self::Delete(key) => build_delete(key, &DeleteOptions::default()).map_err(sort),
        }
    }
}

fn set(key: &str, value: &[u8], ttl: Ttl, mode: SetMode) -> Result<MetaCommand, LinkError> {
    let mut options = SetOptions::default();
    options.ttl = Some(ttl.seconds());
    options.mode = mode;
    build_set(key, value, &options).map_err(sort)
}

/// What a failure of the crate's connection means here. Its texts can quote what the other side
/// sent; only a refusal's is kept, in printable form.
fn sort(error: ClientError) -> LinkError {
    match error {
        ClientError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => LinkError::HungUp,
        ClientError::Io(error) => LinkError::Broken(error),
        ClientError::Server(words) => {
            let printable = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
            LinkError::Refused(words.chars().take(WORDS).map(printable).collect())
        }
        ClientError::Rejected(words) if words == "ERROR" => LinkError::NotUnderstood,
        ClientError::Rejected(words) if words.contains("unauthenticated") => LinkError::NotUnderstood,
        // The enum is open: what it may hold later is no answer that we know.
        _ => LinkError::Garbled,
    }
}
