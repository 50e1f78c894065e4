//! What the daemon's admin listener says: whether it is ready, which version runs, and how its
//! own connections to memcached are. No sign-in is needed for these.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Clock;

use super::finding::{Finding, Group};
use super::http;

/// Limit for each page: the daemon makes them from what is at hand.
const LIMIT: Duration = Duration::from_secs(3);
/// The metrics of 20,000 keys are some MiB.
const MOST: usize = 16 << 20;

/// Asks; only where the daemon runs.
pub(super) async fn findings(admin: SocketAddr, clock: &Clock) -> Vec<Finding> {
    // A port that the system chose is known to the daemon's log only.
    if admin.port() == 0 {
        return Vec::new();
    }
    let page = async |path: &str| {
        let url = format!("http://{}{path}", http::near(admin)).parse().ok()?;
        Some(http::get(url, LIMIT, MOST, clock).await)
    };
    let mut found = Vec::new();
    match page("/readyz").await {
        None => return found,
        Some(Ok(answer)) if answer.status == 200 => {
            found.push(Finding::ok(
                Group::Daemon,
                "ready",
                "callers get what they are granted; keys without a value are told apart",
            ));
        }
        Some(Ok(answer)) => {
            let line: String = answer.body.lines().next().unwrap_or_default().chars().take(200).collect();
            let fix = "zhongkong status --problems says which key, and why";
            found.push(Finding::warn(Group::Daemon, "ready", format!("{}: {line}", answer.status), fix));
        }
        Some(Err(error)) => {
            let detail = format!("the admin listener {admin}: {error}");
            let fix = "look at its log; was admin.listen changed since the last start?";
            found.push(Finding::warn(Group::Daemon, "ready", detail, fix));
            return found;
        }
    }
    if let Some(Ok(answer)) = page("/metrics").await {
        found.extend(judge(&answer.body, env!("CARGO_PKG_VERSION")));
    }
    found
}

fn judge(metrics: &str, ours: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        if let Some(version) = label(line, "zhongkong_build_info{", "version") {
            found.push(if version == ours {
                Finding::ok(Group::Daemon, "version", version)
            } else {
                let detail = format!("{version} runs, and {ours} is installed");
                Finding::warn(Group::Daemon, "version", detail, "systemctl restart zhongkong")
            });
        }
        if let Some(server) = label(line, "zhongkong_mirror_up{", "server")
            && line.ends_with(" 0")
        {
            let detail = "the daemon has no connection to this memcached";
            let fix = "see memcached below: if that is well, look at the network between them";
            found.push(Finding::warn(Group::Daemon, "mirror", detail, fix).about(server));
        }
    }
    found
}

/// A label of a sample of this metric; its text as it stands, escapes included.
fn label<'a>(line: &'a str, metric: &str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(metric)?;
    let (_, value) = rest.split_once(&format!("{name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn another_version_and_a_lost_mirror_are_told() {
        let metrics = "# TYPE zhongkong_build_info gauge\nzhongkong_build_info{version=\"1.2.3\"} 1\n\
                       zhongkong_mirror_up{server=\"a:1\"} 1\nzhongkong_mirror_up{server=\"b:1\"} 0\n";
        let found = judge(metrics, "1.2.3");
        let told: Vec<_> = found.iter().map(|it| (it.name, it.level, it.subject.as_deref())).collect();
        assert_eq!(told, [("version", Level::Ok, None), ("mirror", Level::Warn, Some("b:1"))]);
        assert_eq!(judge(metrics, "1.2.4")[0].level, Level::Warn);
    }
}
