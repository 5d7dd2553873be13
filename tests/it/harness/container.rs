//! A server in a container, on a fixed port of 127.0.0.1, so that a restart keeps its address.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use testcontainers::bollard::models::PortBinding;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use super::ports;

/// A running or stopped container; removed on drop.
pub(crate) struct Container {
    container: Box<ContainerAsync<GenericImage>>,
    /// Removes the container when its standard input closes. Containers held in statics are never
    /// dropped, and a killed test run drops nothing at all.
    _reaper: Child,
}

impl Container {
    /// Runs `image` with its TCP `port` mapped to the host port that is returned.
    ///
    /// `finish` adds command, environment and files.
    pub(crate) async fn start(
        (image, tag): (&str, &str),
        port: u16,
        finish: impl Fn(ContainerRequest<GenericImage>) -> ContainerRequest<GenericImage>,
    ) -> (Self, u16) {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let host_port = ports::free_port();
            let image = GenericImage::new(image, tag).with_exposed_port(port.tcp());
            let request = image.with_host_config_modifier(move |config| {
                let binding = PortBinding {
                    host_ip: Some("127.0.0.1".to_owned()),
                    host_port: Some(host_port.to_string()),
                };
                config.publish_all_ports = Some(false);
                config.port_bindings = Some(HashMap::from([(
                    format!("{port}/tcp"),
                    Some(vec![binding]),
                )]));
            });
            match finish(request).start().await {
                Ok(container) => {
                    let reaper = reaper(container.id());
                    let running = Self {
                        _reaper: reaper,
                        container: Box::new(container),
                    };
                    return (running, host_port);
                }
                Err(error) if attempts < 5 && is_port_taken(&error.to_string()) => {}
                Err(error) => panic!("cannot start a container: {error}"),
            }
        }
    }

    /// Stops it; `grace_s` seconds after the polite signal it is killed.
    pub(crate) async fn stop(&self, grace_s: i32) {
        self.container
            .stop_with_timeout(Some(grace_s))
            .await
            .unwrap();
    }

    /// Replaces a file in it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let target = format!("{}:{path}", self.container.id());
        docker(&["cp", &file.path().display().to_string(), &target]);
    }

    /// Sends a signal to its program.
    pub(crate) fn signal(&self, signal: &str) {
        docker(&["kill", "--signal", signal, self.container.id()]);
    }

    /// Starts it again, on the same host port and with its files.
    pub(crate) async fn start_again(&self) {
        self.container.start().await.unwrap();
    }
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {output:?}");
}

fn is_port_taken(error: &str) -> bool {
    ports::is_taken(error) || error.contains("port is already allocated")
}

fn reaper(id: &str) -> Child {
    Command::new("sh")
        .args([
            "-c",
            r#"cat >/dev/null; docker rm -f -v "$1""#,
            "reaper",
            id,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
