//! From a configuration to a running daemon, in the foreground or detached.
//!
//! Order matters: secrets are read by a process that cannot be dumped, ports below 1024 are bound
//! by root, everything else is opened by the user who will open it again at a reload, and no
//! thread exists before that user is who we are.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Environment, Loaded};
use crate::daemon::{Daemon, LEDGER_FILE, Phase, ReloadOutcome, Standing, Store};
use crate::process::detach::{open_for_adding, redirect};
use crate::process::hardening::{harden, raise_open_files};
use crate::process::notify::Notifier;
use crate::process::pid_file::PidFile;
use crate::process::privileges::{Plan, Target, make_directory};
use crate::process::signals::{Intents, unblock};
use crate::process::sockets::{Inherited, Sockets};
use crate::telemetry::{self, metrics};

use super::error::LaunchError;
use super::note::Note;
use super::report::{Report, Reporter};

/// A daemon before it binds anything.
pub(super) struct Prepared {
    path: PathBuf,
    env: Environment,
    pub(super) loaded: Loaded,
    pub(super) plan: Plan,
    inherited: Inherited,
}

/// What a detached daemon has that one in the foreground has not.
pub(super) struct Link {
    pub(super) reporter: Reporter,
    pub(super) pid_file: PidFile,
    pub(super) note: Note,
    pub(super) places: Places,
    pub(super) terminal: Terminal,
}

/// Where stdout and stderr of a detached daemon go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    /// To its starter's.
    Kept,
    /// To a file.
    Left,
}

/// Where a detached daemon writes.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Its log, for people: a path, or the journal.
    pub(super) log: String,
    /// What is not a log line: a panic.
    pub(super) err: PathBuf,
}

impl Places {
    pub(super) fn of(config: &Config) -> Self {
        let log = config.daemon.log.clone().detached();
        let err = log.file.as_deref().unwrap_or(Path::new(telemetry::DETACHED_FILE)).with_extension("err");
        let log = match log.file {
            Some(path) => path.display().to_string(),
            None => "the journal (journalctl -t zhongkong)".to_owned(),
        };
        Self { log, err }
    }
}

/// `zhongkong run`.
pub(super) fn foreground(path: PathBuf, env: Environment) -> Result<(), LaunchError> {
    let told = env.clone();
    let done = Prepared::new(path, env).and_then(|prepared| prepared.serve(None));
    match &done {
        // What comes of a daemon that was built, or failed to be, it tells itself.
        Ok(()) | Err(LaunchError::Start(_) | LaunchError::Run(_)) => {}
        Err(error) => Notifier::from_env(&told).did_not_start(error),
    }
    done
}

/// Whether the daemon's user, if root is to become one, can read all of it. The process is that
/// user afterwards.
pub fn check_as_user(path: &Path, env: &Environment, config: &Config) -> Result<(), LaunchError> {
    let plan = Plan::new(config.daemon.user.as_deref(), config.daemon.group.as_deref())?;
    let Some(target) = plan.target() else { return Ok(()) };
    target.become_it()?;
    load_as(target, path, env).map(|_| ())
}

impl Prepared {
    /// Reads the configuration and what was passed to the process.
    pub(super) fn new(path: PathBuf, env: Environment) -> Result<Self, LaunchError> {
        // Before any secret is read: no core dump, no debugger, no file that others can read.
        harden()?;
        unblock().map_err(LaunchError::system("unblocking signals"))?;
        let loaded = Config::load(&path, &env)?;
        let daemon = &loaded.config.daemon;
        let plan = Plan::new(daemon.user.as_deref(), daemon.group.as_deref())?;
        let inherited = Inherited::take(&env)?;
        Ok(Self { path, env, loaded, plan, inherited })
    }

    /// Runs the daemon to its end.
    pub(super) fn serve(self, mut link: Option<&mut Link>) -> Result<(), LaunchError> {
        let Self { path, env, mut loaded, plan, inherited } = self;
        let sockets = Sockets::collect(&loaded.config, inherited)?;
        if let Some(target) = plan.target() {
            // Its user could not make these. Nobody else's log directory is made: where a disk is not
            // mounted, the log would fill the one below.
            if let Some(log) = loaded.config.daemon.log.file.as_deref().and_then(Path::parent) {
                make_directory(log, 0o750, Some(target))?;
            }
            make_directory(&loaded.config.daemon.state_dir, 0o700, Some(target))?;
            target.become_it()?;
            // The kernel forgets the first at a change of user.
            harden()?;
            loaded = load_as(target, &path, &env)?;
            check_state(&loaded.config.daemon.state_dir, target)?;
        }
        if let Some(link) = link.as_deref_mut() {
            link.leave_the_terminal()?;
            loaded.config.daemon.log = loaded.config.daemon.log.detached();
        }
        // Held to the end: its last lines are written when it goes.
        let _log = telemetry::init(&loaded.config.daemon.log)?;
        for warning in &loaded.warnings {
            tracing::warn!("configuration: {warning}");
        }
        match plan {
            Plan::Stay | Plan::Become(_) => {}
            Plan::StayRoot => tracing::warn!(
                "this process stays root: set [daemon] user (or User= in the unit), so that a defect here does not own the \
                 machine"
            ),
        }
        if let Err(error) = raise_open_files() {
            tracing::warn!(%error, "the limit of open files stays as it is: {error}");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(LaunchError::system("starting the runtime"))?;
        let done = runtime.block_on(run(loaded.config, sockets, path, env, link));
        // A blocking read of a config file must not hold up an end "at once".
        runtime.shutdown_background();
        done
    }
}

async fn run(
    config: Config,
    sockets: Sockets,
    path: PathBuf,
    env: Environment,
    mut link: Option<&mut Link>,
) -> Result<(), LaunchError> {
    // Before the daemon is built: a TERM while a big ledger is read is a stop, not a kill.
    let mut intents = Intents::install().map_err(LaunchError::system("taking the signals over"))?;
    if let Some(link) = link.as_deref_mut() {
        link.pid_file.claim()?;
    }
    let counters = metrics::install()?;
    // What a reload compares with must be what it will read: where the log goes when nobody says
    // is no change of the file.
    let detached = link.is_some();
    // A unit that merely ran `start` is no manager of the daemon, which outlives it.
    let notifier = if detached { Notifier::default() } else { Notifier::from_env(&env) };
    let build = Daemon::build(config, sockets, Clock::system(), Store::File, counters);
    let daemon = notifier.starting(build).await?;
    let follow = follow(daemon.standing(), daemon.reloads(), link);
    let load = move || {
        let mut loaded = Config::load(&path, &env)?;
        if detached {
            loaded.config.daemon.log = loaded.config.daemon.log.detached();
        }
        Ok(loaded)
    };
    tokio::select! {
        ended = daemon.run(async || intents.next().await, load, notifier) => Ok(ended?),
        never = follow => match never {},
    }
}

/// Tells whoever waits for the daemon how it gets on, and notes what comes of reloads.
async fn follow(
    mut standing: watch::Receiver<Standing>,
    mut reloads: watch::Receiver<ReloadOutcome>,
    link: Option<&mut Link>,
) -> Infallible {
    let Some(Link { reporter, note, pid_file: _, places: _, terminal: _ }) = link else {
        return std::future::pending().await;
    };
    let ready = async {
        loop {
            let Standing { phase, line } = standing.borrow_and_update().clone();
            let report = match phase {
                Phase::Ready => Report::Ready,
                Phase::Starting | Phase::NotReady => Report::NotReady(line),
            };
            reporter.say(&report);
            if matches!(report, Report::Ready) || standing.changed().await.is_err() {
                return;
            }
        }
    };
    let reloads = async {
        loop {
            let reloaded = reloads.borrow_and_update().clone();
            if let Err(error) = note.write(reloaded) {
                tracing::warn!(%error, "what comes of a reload cannot be noted beside the pid file, only logged: {error}");
                return;
            }
            if reloads.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::join!(ready, reloads);
    std::future::pending().await
}

impl Link {
    /// stdout and stderr go to a file, which is tried: what is written there is written when
    /// something is very wrong.
    fn leave_the_terminal(&mut self) -> Result<(), LaunchError> {
        let Places { log, err } = &self.places;
        let failed = |source| LaunchError::Output { path: err.clone(), source };
        let mut file = open_for_adding(err).map_err(failed)?;
        let line =
            format!("{} zhongkong is started as process {}\n", Clock::system().wall(), std::process::id());
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Tokens matter more than logs: it runs without, and says so where it is seen.
            self.reporter.say(&Report::Note(format!(
                "warning: nothing can be written to {} ({error}); free space on its disk, or what is written there, \
                 and to {log} if that is on it, is lost",
                err.display(),
            )));
        }
        redirect(&file).map_err(LaunchError::system("redirecting stdout and stderr"))?;
        self.terminal = Terminal::Left;
        Ok(())
    }
}

/// The configuration, read by the process that has become this user.
fn load_as(target: &Target, path: &Path, env: &Environment) -> Result<Loaded, LaunchError> {
    Config::load(path, env).map_err(|source| LaunchError::Again { user: target.name().to_owned(), source })
}

/// Whether the state directory, which may have been root's, can be used.
fn check_state(dir: &Path, target: &Target) -> Result<(), LaunchError> {
    let not_theirs =
        |path: PathBuf| LaunchError::NotTheirs { user: target.name().to_owned(), path, dir: dir.to_owned() };
    let ledger = dir.join(LEDGER_FILE);
    access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|_| not_theirs(dir.to_owned()))?;
    match access(&ledger, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(_) => Err(not_theirs(ledger)),
    }
}
