//! A real nginx with a configuration of the test's own, killed when dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/nginx";

/// An nginx on a port of its own.
pub(crate) struct Nginx {
    pub(crate) addr: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one whose only server has these lines.
    pub(crate) fn start(server: &str) -> Self {
        // nginx cannot say which port it was given; a free one is looked up first.
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let addr = free.local_addr().expect("a bound listener has an address");
        drop(free);
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths = paths.map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\n{paths}server {{\nlisten {addr};\n{server}\n}}\n}}\n"
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, text).expect("our directory");
        let log = std::fs::File::create(dir.path().join("stderr")).expect("our directory");
        let mut command = Command::new(PROGRAM);
        let mut child = child_of(command.arg("-c").arg(&path).arg("-p").arg(dir.path()), log);
        loop {
            // A refused connection is answered at once; it ends with the child at the latest.
            if TcpStream::connect(addr).is_ok() {
                return Self { addr, child, _dir: dir };
            }
            if child.try_wait().expect("a child of ours").is_some() {
                let said = std::fs::read_to_string(dir.path().join("stderr")).unwrap_or_default();
                panic!("nginx does not start: {said}");
            }
            std::thread::yield_now();
        }
    }
}

fn child_of(command: &mut Command, log: std::fs::File) -> Child {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    spawned.unwrap_or_else(|error| panic!("{PROGRAM} cannot be started ({error}); run: make needs-nginx"))
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
