//! The table of limits: the most that every queue, cache, table and line of floors 0–5 may hold, where the operator has
//! no say in it. What he has a say in stands in `policy::settings` (`Limits`); the shell's own limits stand with what
//! they limit. `tests/floors.rs` sees to it that no maximum of these floors stands elsewhere.

use std::time::Duration;

// One server.

/// Shards. A set of shards is one 128-bit word on the path of every message.
pub const SHARDS_MAX: usize = 128;
/// Names of accounts that there may have been since the start: each keeps its place.
pub const ACCOUNTS_MAX: usize = 1 << 16;
/// Peers with a route. A set of peers is one 128-bit word in every entry of the interest table.
pub const PEERS_MAX: usize = 128;
/// Other clusters with a link on which messages are sent. A set of them is one 128-bit word.
pub const FARS_MAX: usize = 128;

/// The least that an operator may set as `memory_limit`, bytes: a server that does nothing must stay well below it.
pub const MEMORY_LIMIT_MIN: usize = 64 << 20;

// What a client says (floor 1).

/// Arrays and objects inside one another in the JSON of CONNECT and INFO. Go stops at 10,000; nothing a client says in
/// good faith comes near this limit, and below it recursion cannot exhaust the stack.
pub const JSON_DEPTH_MAX: usize = 128;

// What a peer says and hears (floors 1 and 5).

/// Bytes of a line on a route, before CR LF. A nats-server closes a route on a longer one (cluster-protocol.md §1.1).
pub const ROUTE_LINE_BYTES_MAX: usize = 64 << 10;
/// The weight of a queue group that a peer can read.
pub const ROUTE_WEIGHT_MAX: u32 = 999_999_999;

/// Bytes of a token (a JWT), as the official library has it; what a client says is limited by `max_control_line`, too.
pub const TOKEN_BYTES_MAX: usize = 1 << 20;

// A configuration (floor 3).

/// Connections that one question of monitoring looks at: it is answered within a turn, which others wait for.
pub const SCRAPED_CONNECTIONS_MAX: u32 = 64;

/// Subscriptions that one question of monitoring looks at.
pub const SCRAPED_SUBSCRIPTIONS_MAX: u32 = 128;

/// Bytes of one file.
pub const CONF_FILE_BYTES_MAX: usize = 8 << 20;
/// Files of one configuration: `include` names them again and again.
pub const CONF_FILES_MAX: usize = 1000;
/// Bytes of all its files.
pub const CONF_BYTES_MAX: usize = 32 << 20;
/// Files open inside one another by `include`; bounds the stack.
pub const CONF_INCLUDE_DEPTH_MAX: usize = 16;
/// Maps and arrays inside one another, dotted keys included; bounds the stack.
pub const CONF_NESTING_MAX: usize = 64;
/// Bytes that references to variables may copy: a few lines of `$a, $a` would otherwise double without end.
pub const CONF_COPIED_BYTES_MAX: usize = 32 << 20;
/// Mistakes shown of one configuration; a file that is none at all would make as many as it has lines.
pub const CONF_MISTAKES_MAX: usize = 100;
/// Tables inside one another whose keys have a place of their own in findings about several configurations.
pub const CONF_PLACES_DEPTH_MAX: usize = 4;
/// Entries of a list that have; the rest stands where the list does.
pub const CONF_PLACES_LIST_MAX: usize = 256;
/// Places of one finding about several configurations that are named; the rest is counted.
pub const FLEET_PLACES_MAX: usize = 4;
/// Servers of a cluster that a drawing names; the rest is counted.
pub const FLEET_DRAWN_MAX: usize = 8;
/// The highest CPU number that can be named.
pub const CPU_MAX: u16 = 4095;
/// The longest period between pings to a peer (cluster-protocol.md §3.15).
pub const ROUTE_PING_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// The shortest silence after which a gateway's link may be given up: round trips between clusters are long.
pub const GATEWAY_PEER_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Entries of `exports`, or of `imports`.
pub const BORDER_RULES_MAX: usize = 100_000;
/// Warnings about entries of one of them that change nothing; further ones are counted.
pub const BORDER_WARNINGS_MAX: usize = 10;
/// Warnings of a configuration past which none about entries of permissions is added.
pub const PERMISSION_WARNINGS_MAX: usize = 20;
/// Subjects that the template of a scoped key may make of one list, as in nats-server.
pub const TEMPLATE_SUBJECTS_MAX: usize = 4096;
/// The longest `reply_window`: for so long each request that crossed may be remembered.
pub const BORDER_REPLY_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest `spin`; beyond it `poll` is meant.
pub const SPIN_MAX: Duration = Duration::from_millis(100);

// A connection (floors 4 and 5). What waits for it is limited by `max_pending`, what it says by `max_payload` and
// `max_control_line`, its subscriptions by `max_subscriptions` and `max_subscription_bytes`.

/// Bytes of a chunk of an out-buffer past which it takes no further line; the next one opens a new chunk. Large enough
/// that one write fills a socket, small enough that a slow connection's memory grows in steps nobody feels.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Where somebody has to say who he is, he may send so many bytes before that, or one control line of the longest kind
/// (scenarios.md §3.1).
pub const STRANGER_BYTES_MIN: usize = 4096;
/// Bytes of an unfinished operation that are kept in a buffer of just their size: ten thousand half-said lines cost
/// what they are long.
pub const SHORT_REST_MAX: usize = 4096;

/// Bytes left over for a later turn with which a connection is not read further, unless the operation they begin needs more.
pub const LEFT_OVER_MAX: usize = 4096;
/// Bytes that are copied at least to what is left over of an operation, if they are there: most often they make it whole.
pub const JOINED_BYTES_MIN: usize = 256;

// A shard (floor 5).

/// Connections that have not said who they are, where they have to: in all (scenarios.md §3.1).
pub const STRANGERS_MAX: usize = 4096;
/// The same from one address.
pub const STRANGERS_SOURCE_MAX: usize = 256;
/// Addresses remembered because wrong passwords came from them, on each shard.
pub const FAILED_SOURCES_MAX: usize = 1024;
/// Passwords that are to be compared with a bcrypt hash, at most: at tens of milliseconds each the last of them waits longer
/// than any sensible auth timeout. More would only keep memory and a core busy for connections that are gone.
pub const PASSWORDS_MAX: usize = 256;
/// Those that come while one is compared: as many as may be connected, for a reload may ask for all of them.
pub const PASSWORDS_COMING_MAX: usize = 65_536;
/// Addresses, and hashes that were guessed at from there, that are remembered for it.
pub const GUESSERS_MAX: usize = 1024;
/// Connections that are let in, in a second, of all addresses together from which too many wrong passwords came of late. What
/// a connection costs a shard is some 50 µs: a hundredth of a core.
pub const GUESSERS_SECOND_MAX: u64 = 200;
/// So many of their connections may wait to be let in.
pub const GUESSERS_WAITING_MAX: usize = 256;
/// Such addresses that are remembered.
pub const GUESSING_SOURCES_MAX: usize = 65_536;
/// Passwords that are known again without being compared anew.
pub const KNOWN_PASSWORDS_MAX: usize = 65_536;
/// Signatures that wait: a fifth of a second of them.
pub const SIGNATURES_MAX: usize = 4096;
/// Lines of the log of a kind that a stranger can cause, in a second and from one shard; the others are counted.
pub const REPEATS_SECOND_MAX: u32 = 10;
/// Where more than so many were not said in a second, none is said in the next: only how many they were.
pub const REPEATS_FLOOD: u64 = 100;
/// Spare chunks kept by a shard.
pub const SPARES_MAX: usize = 64;
/// Bytes of a spare chunk; a larger one is given back to the system (one huge message made it grow).
pub const SPARE_BYTES_MAX: usize = 1 << 20;
/// Publications to different subjects that are read ahead of the one that is carried out: as many as the processor can fetch
/// something for at a time.
pub const AHEAD_MAX: usize = 8;
/// Verdicts from which on that is done: fewer lie in the near caches anyway.
pub const AHEAD_VERDICTS_MIN: usize = 128;
/// Verdicts held; past it all are forgotten. More subjects than this in use at a time cost a match each.
pub const VERDICTS_MAX: usize = 32_768;
/// Receivers held over all verdicts (a fan-out of 10,000 is one verdict with as many).
pub const TARGETS_MAX: usize = 1 << 20;
/// Bytes of ready-made beginnings held over all verdicts: a few thousand long subjects with many receivers each would
/// otherwise be gigabytes.
pub const HEADS_BYTES_MAX: usize = 64 << 20;
/// Congested receivers of one message that are remembered by name; one of them draining is enough to go on.
pub const BLOCKERS_MAX: usize = 16;
/// Deliveries in one turn; the rest waits for the next, so that no turn is long (one message with more receivers than
/// that is still delivered whole). With [`DELIVERY_BYTES`] it bounds what one turn adds to what waits for receivers: 49 MiB,
/// subscription ids and one message's copies besides.
pub const TURN_DELIVERIES_MAX: u64 = 50_000;
/// Every so many bytes of a message, subject and reply make each of its copies count as one delivery more.
pub const DELIVERY_BYTES: usize = 1 << 10;
/// Messages of a stream that are given to one receiver at a time where nothing speaks against it.
pub const STRETCH_MESSAGES_MAX: usize = 512;
/// Bytes of them: read again for each receiver, they have to be in the nearest cache.
pub const STRETCH_BYTES_MAX: usize = 24 << 10;
/// Text of trace lines kept for the end of a turn, bytes. One line more is let in, as long as a payload and its escapes
/// are; past it lines are dropped and counted. A turn's other lines are few: each needs a connection to begin, to end
/// or to break a rule.
pub const TRACED_BYTES_MAX: usize = 4 << 20;
/// Bytes for one other shard after which a turn parses nothing more, where `max_pending` and the number of shards ask
/// for no less: as much as one read of a socket brings, so that a stream leaves in one piece.
pub const BATCH_BYTES_MAX: usize = 512 << 10;
/// The same where they ask for hardly anything: a batch is to hold some messages.
pub const BATCH_BYTES_MIN: usize = 2 << 10;

// Clients (floor 5).

/// Subscriptions of ended connections taken out in one turn; a connection that has no more ends with them at once.
pub const TURN_ABANDONED_MAX: usize = 256;

// Routes (floor 5).

/// So many times `max_pending` wait for a route before messages for it are dropped: its feeders stand still long before,
/// so this is met only by what came at once from very many of them.
pub const ROUTE_PENDING_FACTOR_MAX: usize = 2;
/// Patterns, with queue groups, that one peer may want; past it the route is closed.
pub const PEER_INTEREST_MAX: u64 = 10_000_000;
/// Patterns told to one new peer in one turn.
pub const TURN_TOLD_MAX: usize = 2048;
/// Patterns of a lost peer looked at, to be forgotten, in one turn.
pub const TURN_FORGOTTEN_MAX: usize = 4096;
/// Clients told of a change of the cluster in one turn.
pub const TURN_INFORMED_MAX: u32 = 512;
/// Bytes waiting for a new peer beyond which it is told no more for now.
pub const TELL_PENDING_MAX: usize = 1 << 20;
/// Bytes of a subject, or of a queue group's name, that peers are told of: the line must not exceed what they accept.
pub const TOLD_SUBJECT_BYTES_MAX: usize = 16 << 10;

// Links to other clusters (floors 4 and 5).

/// Most bytes of the words about an export in an account's token, and of where there are more; as in nats-server.
pub const EXPORT_INFO_BYTES_MAX: usize = 8 << 10;

/// Requests from other clusters whose way back one client knows; past it the oldest is forgotten.
pub const ANSWERS_MAX: usize = 65_536;
/// Replies that one client may publish to because it was asked (`allow_responses`); past it the oldest is forgotten, and
/// counted.
pub const RESPONSES_MAX: usize = 65_536;
/// Permits known to allow what a verdict is on; where users have more different ones, some are asked each time.
pub const VERDICT_PERMITS_MAX: usize = 8;
/// Accounts, each of which imports from the next, that are looked at for a way back to the first.
pub const IMPORT_DEPTH_MAX: usize = 16;
/// Requests of one account's clients to services of others that wait for their answers, on one shard; of twice as many the
/// older half is forgotten.
pub const SERVICE_REQUESTS_MAX: usize = 16_384;
/// Requests to other clusters whose answers a border lets in; past it the oldest is forgotten.
pub const GRANTS_MAX: usize = 1 << 20;
/// Subscriptions of the last two seconds that a shard remembers for an account; while there were more, every one counts as
/// new.
pub const RECENT_MAX: usize = 65_536;
/// Names of accounts that do not exist here which one link is told of.
pub const FOREIGN_ACCOUNTS_MAX: usize = 1024;
/// Bytes of what one link has told of such accounts that are kept until a reload brings them.
pub const FOREIGN_BYTES_MAX: usize = 4 << 20;

// The mesh (floor 5).

/// Different things remembered; further addresses share one line per cause.
pub const MESH_NOTICES_MAX: usize = 256;
/// Lines about single gaps in the mesh at a time; further ones are named together in one.
pub const GAP_LINES_MAX: usize = 16;
/// Names in that one.
pub const GAP_NAMES_MAX: usize = 128;
/// Dials of a member that may be gone for everybody, beyond `connect_retries`: an hour's worth.
pub const DOUBTFUL_DIALS_MAX: u32 = 120;
/// Bytes of another protocol that are shown.
pub const SHOWN_BYTES_MAX: usize = 32;
/// Addresses known at a time; a cluster has 128 members, so this many are somebody's mistake or malice.
pub const KNOWN_ADDRESSES_MAX: usize = 4096;
/// Accepted connections in handshake.
pub const HANDSHAKES_MAX: usize = 256;
/// TLS handshakes of clients under way on one of their threads; more are refused.
pub const TLS_HANDSHAKES_MAX: usize = 8192;
/// Threads for TLS handshakes of clients: one more than a flood of slow ones needs.
pub const TLS_THREADS: usize = 2;
/// Bytes of one TLS handshake, with certificates; who sends more is refused.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 256 << 10;
/// What may be kept of a private connection, bytes: part of a record, which is 16 KiB, or of a message of TLS's own. Less
/// than a shard reads at a time.
pub const TLS_REST_BYTES_MAX: usize = 40 << 10;
/// Failed TLS handshakes, before INFO or of servers, that are said in a second; the others are counted.
pub const TLS_FAILURES_SECOND_MAX: u32 = 5;
/// Dials under way.
pub const DIALS_MAX: usize = 64;
/// Longest text of a peer that is kept or shown, characters; real names and addresses are far shorter.
pub const PEER_TEXT_BYTES_MAX: usize = 256;
/// Addresses that servers were refused from in the last seconds, remembered so that the next call from there waits.
pub const REFUSED_PLACES_MAX: usize = 64;
/// Client addresses taken over from one peer.
pub const PEER_URLS_MAX: usize = 64;
/// Members that said goodbye and are remembered, so that late word of them is not believed.
pub const LEFT_MAX: usize = 128;
/// Members one peer may name: twice as many as a cluster can have.
pub const PEER_REACHES_MAX: usize = 256;
/// Bytes one link may have unread before it is registered; also the longest line of a handshake (cluster-protocol.md
/// §1.1: 64 KiB on server links).
pub const UNREAD_BYTES_MAX: usize = 64 * 1024;

// Traced messages (floor 5).

/// Messages that one shard traces in a second; more are delivered as any other, and counted.
pub const TRACES_SECOND_MAX: u64 = 1000;
/// What one shard notes of one traced message; the rest is a number.
pub const TRACE_STEPS_MAX: usize = 1024;

// Gateways (floor 5).

/// Other clusters known at a time; more are somebody's mistake or malice.
pub const CLUSTERS_MAX: usize = FARS_MAX;
/// Addresses known of one of them; it has 128 servers.
pub const CLUSTER_URLS_MAX: usize = 256;
/// Bytes of the texts of another server's rules, both blocks together: as much as the files of a configuration, and what
/// references to variables may copy.
pub const BORDER_BYTES_MAX: usize = CONF_BYTES_MAX + CONF_COPIED_BYTES_MAX;
/// Rules that one finding names by their lines.
pub const BORDER_NAMED_MAX: usize = 5;
/// Registered links on which messages are received.
pub const INBOUNDS_MAX: usize = 4096;
