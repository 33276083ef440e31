"""Floor 6: the Kafka door. Unmodified clients talk to the brokers of a `Cluster` in this process.

    with Cluster(brokers=3) as cluster, listen(cluster) as door:
        producer = confluent_kafka.Producer({"bootstrap.servers": door.bootstrap})

What answers is the world that chaos runs; this room turns bytes into its messages and back.

| room | what |
|---|---|
| `listening` | `listen` (a thread of its own), `serve` (inside a loop that runs) |
| `door` | the loop that owns the world: sockets, clock, requests in, answers out |
| `framing` `connection` | one client's socket: frames, one request in process, answers in order |
| `call`, `handlers`, `versions` | a request's header; which APIs are served, in which versions, and by whom |
| `produce` `fetch` `metadata` `offsets` `producer_ids` `hello` | what every client asks, read and written by hand |
| `envelopes` and the rest | what administrators ask, by kio's classes |
| `faults` | what a test lets go wrong on purpose |
| `sightings` `recorders` | what the door saw, and what applications were told |
| `judging` `client_verdict` | the checker, asked about both, and what it says |

W1. The loop's thread owns the world. Calls from another thread are handed over and waited for.
W2. Versions end here: no message of the core has one. What is listed in ApiVersions is true.
W3. A batch is opaque: its bytes are copied out of the frame once, and shared by the log and all who read it.
W4. A connection has one request in process; the next is not begun before its answer has left. So what is kept for a
    client is at most one large request or a few small ones read ahead, and one answer.
W5. Whatever a peer sends, nobody else notices: what can't be read or is not served ends the connection that it came on.
W6. Idle costs nothing: the loop sleeps until the world's next deadline.
W7. A fault that was asked for and never struck is an error at the end.
W8. Nobody guesses which send a record is: two that are equal are called so, and not judged.

Why some APIs are read and written by hand: a producer or a consumer needs six of them, and importing kio takes longer
than its first acknowledged message may. Tests compare every version of those with kio, and with recorded conversations.

Why answers may be wrong in time but not in content: virtual time jumps when the test says so (a crash is noticed at once),
and the clients' clocks don't. Whoever waits at the door meanwhile waits less.

Not here: consumer groups, transactions, encryption and passwords (nothing of it is listed); the rules of any request
(broker, controller).
Source: the protocol guide of Apache Kafka 4.x; what real clients and a real broker said to each other.
"""

from eventlog.wire.listening import listen, serve

__all__ = ["listen", "serve"]
