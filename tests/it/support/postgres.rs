//! A real PostgreSQL: a cluster of the test's own, spoken to over a socket in its directory.
//!
//! PostgreSQL refuses to run as root, so that it then runs as `nobody`.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65_534;

/// A PostgreSQL, killed when dropped.
pub(crate) struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    /// Further settings, as `name=value`.
    settings: Vec<String>,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same with settings, which may name files that are put into the directory.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = free.local_addr().expect("a bound listener has an address").port();
        drop(free);
        let mut server = Self { dir, programs: programs(), port, settings: Vec::new(), child: None };
        let data = server.data();
        run(Command::new("cp").arg("-R").arg(server.template()).arg(&data));
        run(Command::new("chmod").arg("0700").arg(&data));
        server.settings = settings(server.dir.path());
        own(server.dir.path());
        server.resume();
        server
    }

    /// The address of a database in it, over its socket.
    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.dir.path().display();
        format!("postgres://zhongkong@localhost/{database}?host={socket}&port={}", self.port)
    }

    /// The address of a database in it, over TCP.
    pub(crate) fn tcp_url(&self, database: &str) -> String {
        format!("postgres://zhongkong@localhost:{}/{database}", self.port)
    }

    /// Makes an empty database and returns its address.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Runs a statement by hand, and returns what it prints.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let Output { status, stdout, stderr } = self
            .command("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, &self.url(database)])
            .output()
            .expect("psql runs");
        assert!(status.success(), "{statement}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGQUIT: its children end with it, without a checkpoint.
            signal_to(child.id(), "-QUIT");
            child.wait().expect("a child of ours ends");
        }
    }

    /// Stops it and every connection from answering, or lets them go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id();
        for backend in
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("proc").split(' ')
        {
            if let Ok(backend) = backend.trim().parse() {
                signal_to(backend, signal);
            }
        }
        signal_to(pid, signal);
    }

    /// Starts it again with what it had.
    pub(crate) fn resume(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.dir.path());
        command.args(["-p", &self.port.to_string(), "-h", "localhost", "-F"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.dir.path().join("log")).expect("our directory");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut child = child.expect("postgres starts");
        let note = self.data().join("postmaster.pid");
        let pid = child.id().to_string();
        loop {
            // It writes its pid first and `ready` as the eighth line.
            let text = std::fs::read_to_string(&note).unwrap_or_default();
            let mut lines = text.lines();
            if lines.next() == Some(&pid) && lines.nth(6).is_some_and(|line| line.trim() == "ready") {
                self.child = Some(child);
                return;
            }
            if child.try_wait().expect("a child of ours").is_some() {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("postgres does not start: {log}");
            }
            std::thread::yield_now();
        }
    }

    /// A cluster as initdb makes it, which takes seconds: made once, and copied from then on.
    fn template(&self) -> PathBuf {
        let version = self.programs.parent().and_then(Path::file_name).expect("a version").to_string_lossy();
        let template = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgresql-{version}"));
        if !template.exists() {
            let making = tempfile::Builder::new().prefix("pg").tempdir().expect("a directory");
            own(making.path());
            let arguments =
                ["--no-sync", "--auth=trust", "--username=zhongkong", "--encoding=UTF8", "--locale=C"];
            run(self.command("initdb").args(arguments).arg("-D").arg(making.path().join("data")));
            let copied = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo's directory");
            run(Command::new("cp").arg("-R").arg(making.path().join("data")).arg(copied.path()));
            // Another test may have been faster.
            let _ = std::fs::rename(copied.path().join("data"), &template);
        }
        template
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

fn signal_to(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill is there");
    assert!(status.success());
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            // One that was stopped cannot end.
            let _ = Command::new("kill").args(["-CONT", &child.id().to_string()]).status();
        }
        self.kill();
    }
}

/// Debian's are not in PATH: several versions may be there, and the newest is taken.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("there is no PostgreSQL; run: sudo apt-get install -y postgresql"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("proc").uid() == 0
}

fn own(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg(format!("{NOBODY}:{NOBODY}")).arg(path));
    }
}

fn run(command: &mut Command) {
    let Output { status, stderr, .. } = command.output().expect("the program is there");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
}
