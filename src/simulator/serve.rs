//! The listener and its connections: where faults happen to sockets.
//!
//! `serve` owns every connection task and joins it; stopping ends them all,
//! answered or not, as a power cut at WeChat would. Accepting stops when the
//! process has no descriptors left and goes on when a connection ends.
//! `/_sim/` is answered in every mode that listens, so that a mode set over HTTP
//! can be ended over HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::callback::over_http;
use super::control::Control;
use super::control_http;
use super::errcode::Refusal;
use super::faults::Fault;
use super::log::{Endpoint, Outcome};
use super::routes::refusal_fields;
use super::state::{ServerMode, Shared};
use super::web;
use super::wire::{self, Connection, Page, ReadError, Reader, Reply, Request};

/// Serves until stopped. The listener's address is taken again after a time of
/// [`ServerMode::Refuses`].
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let here = listener.local_addr()?;
    let mut mode = shared.mode.subscribe();
    let mut listener = Some(listener);
    let presence = Presence::enter(&shared);
    let mut connections = JoinSet::new();
    loop {
        let wanted = *mode.borrow_and_update();
        match (wanted, &listener) {
            (ServerMode::Refuses, Some(_)) => {
                listener = None;
                presence.listening(Listening::No);
            }
            (ServerMode::Up | ServerMode::Busy | ServerMode::Closes | ServerMode::Silent, None) => {
                listener = Some(TcpListener::bind(here).await?);
                presence.listening(Listening::Yes);
            }
            // As wished already.
            (_, Some(_)) | (ServerMode::Refuses, None) => {}
        }
        tokio::select! {
            () = stop.cancelled() => break,
            // The sender lives in `shared`, which this function holds.
            _ = mode.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(Arc::clone(&shared), stream, peer));
                }
                // Out of descriptors, most likely: one ends, then there is room.
                Err(error) => if connections.join_next().await.is_none() {
                    return Err(error);
                },
            },
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

#[derive(Clone, Copy)]
enum Listening {
    Yes,
    No,
}

/// Tells the state that a `serve` runs and whether it listens, also when it is
/// dropped in the middle.
struct Presence<'a> {
    shared: &'a Shared,
    listening: std::cell::Cell<usize>,
}

impl<'a> Presence<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.change(|state| {
            state.serving += 1;
            state.listening += 1;
        });
        Self { shared, listening: std::cell::Cell::new(1) }
    }

    fn listening(&self, now: Listening) {
        let now = match now {
            Listening::Yes => 1,
            Listening::No => 0,
        };
        let before = self.listening.replace(now);
        self.shared.change(|state| state.listening = state.listening + now - before);
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let before = self.listening.get();
        self.shared.change(|state| {
            state.serving -= 1;
            state.listening -= before;
        });
    }
}

/// One connection, request after request. Errors end it; nobody is told, as
/// nobody at WeChat would be.
async fn connection(shared: Arc<Shared>, mut stream: TcpStream, peer: SocketAddr) {
    // Answers are one small write each; waiting to fill a packet only delays.
    let _ = stream.set_nodelay(true);
    let mut reader = Reader::new(peer.ip().to_canonical());
    let mut mode = shared.mode.subscribe();
    loop {
        match *mode.borrow_and_update() {
            ServerMode::Refuses => return,
            ServerMode::Up | ServerMode::Busy | ServerMode::Closes | ServerMode::Silent => {}
        }
        let read = tokio::select! {
            read = reader.next(&mut stream) => read,
            _ = mode.changed() => continue,
        };
        let request = match read {
            Ok(Some(request)) => request,
            Ok(None) | Err(ReadError::Io(_)) => return,
            Err(error @ (ReadError::Malformed | ReadError::TooLarge)) => {
                let page = Page::text(400, format!("{error}\n"));
                let date = date(&shared);
                let _ = wire::send(&mut stream, Reply::Whole(page), Connection::Close, &date).await;
                return;
            }
        };
        let wished = request.connection;
        let reply = if request.path == "/_sim/push" && request.method == "POST" {
            Reply::Whole(over_http::answer(&request).await)
        } else if request.path == "/_sim" || request.path.starts_with("/_sim/") {
            let control = Control::new(Arc::clone(&shared));
            Reply::Whole(control_http::answer(&control, &request))
        } else {
            answer(&shared, &stream, &request).await
        };
        match wire::send(&mut stream, reply, wished, &date(&shared)).await {
            Ok(Connection::KeepAlive) => {}
            Ok(Connection::Close) | Err(_) => return,
        }
    }
}

/// Lets the server's mode, then the next scripted fault, then WeChat have the call.
async fn answer(shared: &Shared, stream: &TcpStream, request: &Request) -> Reply {
    let mode = *shared.mode.borrow();
    match mode {
        ServerMode::Up => {}
        ServerMode::Busy => return refuse(shared, request, &Refusal::new(-1), "busy"),
        ServerMode::Closes | ServerMode::Refuses => {
            unprocessed(shared, request, "closed");
            return Reply::Reset;
        }
        ServerMode::Silent => {
            unprocessed(shared, request, "silent");
            let mut mode = shared.mode.subscribe();
            let until_changed = mode.wait_for(|mode| *mode != ServerMode::Silent);
            tokio::select! {
                _ = until_changed => {}
                () = gone(stream) => {}
            }
            return Reply::Close;
        }
    }
    let fault = shared.change(|state| {
        let appid = state.account_of(request);
        state.faults.take(Endpoint::of(&request.path), &appid)
    });
    let reply = match &fault {
        None => Reply::Whole(process(shared, request, None)),
        Some(fault) => spoil(shared, stream, request, fault).await,
    };
    wait(shared.look(|state| state.latency)).await;
    reply
}

/// A call under a scripted fault.
async fn spoil(shared: &Shared, stream: &TcpStream, request: &Request, fault: &Fault) -> Reply {
    match fault {
        Fault::Errcode { code, message } => {
            let refusal = Refusal::scripted(*code, message.as_deref(), request.caller);
            refuse(shared, request, &refusal, fault.name())
        }
        Fault::HttpStatus(status) => {
            unprocessed(shared, request, fault.name());
            Reply::Whole(gateway_page(*status))
        }
        Fault::HttpStatusAfter(status) => {
            process(shared, request, Some(fault));
            Reply::Whole(gateway_page(*status))
        }
        Fault::HtmlPage => {
            unprocessed(shared, request, fault.name());
            let portal = "<!DOCTYPE html><html><head><title>Notice</title></head>\
                          <body><p>Please sign in to use this network.</p></body></html>\n";
            Reply::Whole(Page::of(200, "text/html; charset=utf-8", portal))
        }
        Fault::TruncatedJson => Reply::Half(process(shared, request, Some(fault))),
        Fault::GarbageJson => {
            process(shared, request, Some(fault));
            Reply::Whole(Page::json(&"{\"access_token\": <<<not json>>>, }"))
        }
        Fault::EmptyBody => {
            process(shared, request, Some(fault));
            Reply::Whole(Page::json(&""))
        }
        Fault::Slow(delay) => {
            let page = process(shared, request, Some(fault));
            wait(*delay).await;
            Reply::Whole(page)
        }
        Fault::TornConnection => {
            unprocessed(shared, request, fault.name());
            Reply::Reset
        }
        Fault::AnswerLost => {
            process(shared, request, Some(fault));
            Reply::Close
        }
        Fault::HoldAnswer => {
            // Held before it is logged: who sees the call can release it.
            let released = hold(shared);
            let page = process(shared, request, Some(fault));
            tokio::select! {
                _ = released => {}
                () = gone(stream) => {}
            }
            // The end that was gone may have been the last user of its place.
            shared.change(|state| state.held.retain(|held| !held.is_closed()));
            Reply::Whole(page)
        }
        Fault::HoldRequest => {
            // The socket is not looked at: a late request is late because its
            // caller has gone, and it is processed all the same.
            let _ = hold(shared).await;
            Reply::Whole(process(shared, request, Some(fault)))
        }
        Fault::ExpiresIn(_) | Fault::EmptyToken | Fault::MissingToken => {
            Reply::Whole(process(shared, request, Some(fault)))
        }
        Fault::Redirect(to) => {
            unprocessed(shared, request, fault.name());
            let mut page = Page::text(302, "");
            page.location = Some(to.clone());
            Reply::Whole(page)
        }
    }
}

fn process(shared: &Shared, request: &Request, fault: Option<&Fault>) -> Page {
    if let Some(asked) = web::Asked::of(Endpoint::of(&request.path)) {
        return asked.answer(shared, request, fault);
    }
    let fields = shared.change(|state| state.process(request, fault));
    Page::json(&Value::Object(fields))
}

fn refuse(shared: &Shared, request: &Request, refusal: &Refusal, fault: &'static str) -> Reply {
    let outcome = Outcome::Errcode(refusal.code);
    shared.change(|state| state.note_unprocessed(request, outcome, fault));
    if let Some(asked) = web::Asked::of(Endpoint::of(&request.path)) {
        return Reply::Whole(asked.refused(refusal, request));
    }
    Reply::Whole(Page::json(&Value::Object(refusal_fields(refusal))))
}

fn unprocessed(shared: &Shared, request: &Request, fault: &'static str) {
    shared.change(|state| state.note_unprocessed(request, Outcome::NotProcessed, fault));
}

fn gateway_page(status: u16) -> Page {
    Page::text(status, "upstream connect error or disconnect before headers\n")
}

/// A place in the row of the held.
fn hold(shared: &Shared) -> oneshot::Receiver<()> {
    let (release, released) = oneshot::channel();
    shared.change(|state| state.held.push_back(release));
    released
}

/// The `Date` of an answer that goes out now. The one thing here that is not on tokio's clock:
/// callers compare it with the wall.
fn date(shared: &Shared) -> String {
    let offset = jiff::SignedDuration::from_secs(shared.look(|state| state.date_offset));
    let now = jiff::Timestamp::now();
    let shown = now.checked_add(offset).unwrap_or(now);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&shown).unwrap_or_default()
}

/// Ends when the other side closed or broke the connection.
async fn gone(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        // The next request is here already: somebody is there.
        Ok(_) => std::future::pending().await,
    }
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
