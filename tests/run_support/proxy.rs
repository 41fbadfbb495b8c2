//! A TCP proxy that loses what a test wants lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Listens on a port of its own in front of the server at `port`. At the `nth` COMMIT that passes, over all
/// connections, it lets the server commit and closes the connection without giving the answer back.
pub async fn losing_commit(port: u16, nth: u32) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let commits = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let commits = commits.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                relay(client, server, &commits, nth).await;
            });
        }
    });
    address.port()
}

async fn relay(mut client: TcpStream, mut server: TcpStream, commits: &AtomicU32, nth: u32) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                // A simple query message: 'Q', length, text, NUL.
                let commit = up[..count].windows(8).any(|window| window == b"\x00\x00\x00\x0bCOMM");
                if server.write_all(&up[..count]).await.is_err() { return }
                if commit && commits.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                    // The answer proves that the server has done it; the client never sees it.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&down[..count]).await.is_err() { return }
            }
        }
    }
}
