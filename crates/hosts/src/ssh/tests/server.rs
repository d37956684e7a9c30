//! An SSH server whose commands run in a folder of its own.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelOpenFailure, ChannelReadHalf};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use super::uploads::{Files, Room};

/// How a server behaves.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) keys: Vec<PrivateKey>,
    pub(super) user: &'static str,
    pub(super) authorized: Vec<PublicKey>,
    /// Keys are looked at for ever.
    pub(super) thinks: bool,
    pub(super) runs_commands: bool,
    pub(super) forwards: bool,
    pub(super) sftp: bool,
    pub(super) room: Room,
}

/// A running server; it ends with this.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) folder: TempDir,
    /// Users and algorithms by which they signed.
    pub(super) signed: Arc<Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let signed = Arc::new(Mutex::new(Vec::new()));
        let config = Arc::new(Config {
            keys: setup.keys.clone(),
            auth_rejection_time: Duration::ZERO,
            max_auth_attempts: 3,
            ..Config::default()
        });
        let visitor = Visitor {
            setup: Arc::new(setup),
            folder: folder.path().to_owned(),
            signed: Arc::clone(&signed),
            channels: HashMap::new(),
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, visitor) = (Arc::clone(&config), visitor.clone());
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, visitor).await {
                        session.await.ok();
                    }
                });
            }
        });
        Self {
            port,
            folder,
            signed,
            task,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Visitor {
    setup: Arc<Setup>,
    folder: std::path::PathBuf,
    signed: Arc<Mutex<Vec<(String, String)>>>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Clone for Visitor {
    fn clone(&self) -> Self {
        Self {
            setup: Arc::clone(&self.setup),
            folder: self.folder.clone(),
            signed: Arc::clone(&self.signed),
            channels: HashMap::new(),
        }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        if self.setup.thinks {
            std::future::pending::<()>().await;
        }
        let algorithm = key.algorithm.to_string();
        self.signed.lock().unwrap().push((user.to_owned(), algorithm));
        let known = |authorized: &PublicKey| authorized.key_data() == key.public_key.key_data();
        if user == self.setup.user && self.setup.authorized.iter().any(known) {
            return Ok(Auth::Accept);
        }
        Ok(Auth::reject())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.setup.forwards {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        match TcpStream::connect((host, u16::try_from(port).unwrap())).await {
            Ok(mut stream) => {
                reply.accept().await;
                tokio::spawn(async move {
                    let mut channel = channel.into_stream();
                    tokio::io::copy_bidirectional(&mut channel, &mut stream).await.ok();
                });
            }
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        if !self.setup.runs_commands {
            return session.channel_failure(id);
        }
        let channel = self.channels.remove(&id).unwrap();
        session.channel_success(id)?;
        let child = Command::new("sh")
            .arg("-c")
            .arg(String::from_utf8(command.to_vec()).unwrap())
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        tokio::spawn(attend(child, channel));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != "sftp" || !self.setup.sftp {
            return session.channel_failure(id);
        }
        let channel = self.channels.remove(&id).unwrap();
        session.channel_success(id)?;
        let files = Files::new(self.folder.clone(), self.setup.room);
        russh_sftp::server::run(channel.into_stream(), files).await;
        Ok(())
    }
}

/// Carries between a shell and its channel until the shell ends or the client goes.
async fn attend(mut child: Child, channel: Channel<Msg>) {
    let (mut read, write) = channel.split();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut to_stdout, mut to_stderr) = (write.make_writer(), write.make_writer_ext(Some(1)));
    let speaking = async {
        let out = tokio::io::copy(&mut stdout, &mut to_stdout);
        let err = tokio::io::copy(&mut stderr, &mut to_stderr);
        let (out, err) = tokio::join!(out, err);
        out.and(err)
    };
    tokio::select! {
        said = speaking => { said.ok(); }
        () = listen(&mut read, child.stdin.take()) => return,
    }
    if let Some(code) = child.wait().await.unwrap().code() {
        write.exit_status(u32::try_from(code).unwrap()).await.ok();
    }
    write.eof().await.ok();
    write.close().await.ok();
}

/// Gives the shell what the client sends; ends when the client gives the command up.
async fn listen(read: &mut ChannelReadHalf, mut stdin: Option<ChildStdin>) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if let Some(open) = &mut stdin
                    && open.write_all(&data).await.is_err()
                {
                    stdin = None;
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}
