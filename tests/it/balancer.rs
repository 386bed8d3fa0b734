//! nginx as load balancer of nodes, databases and gateways, with the sample configurations.

use std::{fs, path::Path, process::Stdio, time::Duration};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

const NODES: &str = include_str!("../../nginx.example.conf");
const DATABASES: &str = include_str!("../../nginx.database.example.conf");
/// Path of nginx's stream module on Debian.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Ports of the balanced servers.
pub(crate) struct Servers {
    pub(crate) nodes: Vec<u16>,
    pub(crate) databases: Vec<u16>,
    pub(crate) gateways: Vec<u16>,
}

/// Ports on which nginx listens.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) nodes: u16,
    pub(crate) database: u16,
    pub(crate) store: u16,
}

/// Starts nginx with its files in `folder`. Dropping the returned value stops it.
pub(crate) async fn start(folder: &Path, servers: &Servers, ports: Ports) -> Child {
    let address = |port| format!("127.0.0.1:{port}");
    let mut nodes = NODES.to_owned();
    replace(&mut nodes, "443 ssl", &address(ports.nodes));
    for (number, port) in servers.nodes.iter().enumerate() {
        replace(
            &mut nodes,
            &format!("10.0.0.1{}:10001", number + 1),
            &address(*port),
        );
    }
    let is_certificate = |line: &&str| line.trim_start().starts_with("ssl_certificate");
    let nodes: Vec<_> = nodes.lines().filter(|line| !is_certificate(line)).collect();
    let mut databases = DATABASES.to_owned();
    replace(&mut databases, "10.0.0.1:3306", &address(ports.database));
    for (number, port) in servers.databases.iter().enumerate() {
        replace(
            &mut databases,
            &format!("10.0.0.2{}:3306", number + 1),
            &address(*port),
        );
    }
    // A test may have fewer servers than the samples. Remove the remaining sample addresses.
    let is_replaced = |line: &&str| !line.contains(" 10.0.0.");
    let databases: Vec<_> = databases.lines().filter(is_replaced).collect();
    let gateways = gateways(servers, ports);
    let home = folder.display();
    let temporary: Vec<_> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {home}/{kind};"))
        .collect();
    let text = format!(
        "load_module {STREAM};
        daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
        worker_rlimit_nofile 8192;
        events {{ worker_connections 4096; }}
        {}
        http {{
            access_log off;
            {}
            {}
            {gateways}
        }}",
        databases.join("\n"),
        temporary.join("\n"),
        nodes.join("\n"),
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, text).unwrap();
    let log = folder.join("nginx.log");
    let child = Command::new("nginx")
        .arg("-c")
        .arg(&path)
        .arg("-p")
        .arg(folder)
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .kill_on_drop(true)
        .spawn();
    assert!(
        child.is_ok(),
        "nginx must be installed: apt-get install nginx libnginx-mod-stream"
    );
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", ports.nodes)).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let errors = fs::read_to_string(log).unwrap();
    assert!(errors.is_empty(), "{errors}");
    child.unwrap()
}

/// Returns the nginx server block for the gateways, or an empty text if there are none.
fn gateways(servers: &Servers, ports: Ports) -> String {
    if servers.gateways.is_empty() {
        return String::new();
    }
    let servers = servers.gateways.iter();
    let servers: Vec<_> = servers
        .map(|port| format!("server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;"))
        .collect();
    format!(
        "upstream gateways {{ {} }}
        server {{
            listen 127.0.0.1:{};
            client_max_body_size 0;
            location / {{ proxy_pass http://gateways; proxy_set_header Host $http_host; proxy_connect_timeout 1s; }}
        }}",
        servers.join(" "),
        ports.store
    )
}

fn replace(text: &mut String, placeholder: &str, value: &str) {
    assert!(text.contains(placeholder), "no {placeholder} in {text}");
    *text = text.replace(placeholder, value);
}
