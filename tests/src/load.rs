//! Clients that load a server and look at every answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::Outcome;
use crate::process::{self, DEADLINE};

/// The most requests that one client makes.
const MOST: u64 = 100_000;

/// The sum of the squares below `rounds`: what `compute` of the programs answers.
pub fn computed(rounds: u64) -> u64 {
    rounds.saturating_sub(1) * rounds * (2 * rounds).saturating_sub(1) / 6
}

/// The body that the server at `port` answers a request for `path` with.
pub fn get(port: u16, path: &str) -> Outcome<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(DEADLINE))?;
    // One write, since a server may answer and close before the second one.
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP: {answer:?}"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(format!("{path} was answered with: {answer}").into()),
    }
}

/// Clients that ask as fast as they are answered; they stop when this is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    right: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// Starts `clients`, each of which gets `path(n)` with n from `first` upwards and wants `expected(n)`. Returns
    /// when the first answers were right.
    pub fn start<P, E>(port: u16, clients: u64, first: u64, path: P, expected: E) -> Outcome<Load>
    where
        P: Fn(u64) -> String + Copy + Send + 'static,
        E: Fn(u64) -> String + Copy + Send + 'static,
    {
        let mut load = Load { stop: Arc::default(), right: Arc::default(), clients: Vec::new() };
        for client in 0..clients {
            let (stop, right) = (load.stop.clone(), load.right.clone());
            load.clients.push(thread::spawn(move || {
                for number in (0..MOST).map(|number| first + number % 100 + client) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = get(port, &path(number)).map_err(|error| error.to_string())?;
                    if body != expected(number) {
                        return Err(format!("{} was answered with {body:?}", path(number)));
                    }
                    right.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        process::wait_until("the server answers", || {
            load.right.load(Ordering::Relaxed) >= clients || load.clients.iter().any(JoinHandle::is_finished)
        })?;
        Ok(load)
    }

    /// Clients that have the server compute: long enough a request that little else is seen.
    pub fn computing(port: u16, clients: u64) -> Outcome<Load> {
        let path = |rounds| format!("/compute/{rounds}");
        Self::start(port, clients, 500_000, path, |rounds| computed(rounds).to_string())
    }

    /// Stops the clients; fails if any of them got a wrong answer or none. Gives the number of right answers.
    pub fn stop(mut self) -> Outcome<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(self.right.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // On the way of a failure nobody waits for the clients: each ends with its request.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A request that is under way.
pub struct Request(JoinHandle<Result<String, String>>);

impl Request {
    /// Starts to get `path`.
    pub fn start(port: u16, path: String) -> Request {
        Request(thread::spawn(move || get(port, &path).map_err(|error| error.to_string())))
    }

    /// Waits for the answer.
    pub fn answer(self) -> Outcome<String> {
        Ok(self.0.join().map_err(|_| "the client panicked")??)
    }
}
