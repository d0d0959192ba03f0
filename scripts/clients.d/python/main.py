"""What programs do with nats-py, against the server given as the only argument (host:port).

Started by scripts/clients, which restarts the server when this program writes the line "restart" to its standard
output; the answer is a line on its standard input.
"""

import asyncio
import ssl
import sys

import nats
from nats.errors import MaxPayloadError, NoRespondersError

URL = "nats://" + sys.argv[1]
PATIENCE = 20
# How TLS is spoken, if it is.
PRIVATE = {}


async def connect(**options):
    return await nats.connect(URL, **PRIVATE, **options)


async def subscribe(nc, subject, **options):
    sub = await nc.subscribe(subject, **options)
    await nc.flush()
    return sub


async def publish_and_subscribe():
    one, two = await connect(), await connect()
    here, there = await subscribe(one, "greet"), await subscribe(two, "greet")
    for i in range(500):
        await one.publish("greet", b"%d" % i)
    for i in range(500):
        for sub in (here, there):
            assert (await sub.next_msg(PATIENCE)).data == b"%d" % i
    await one.close()
    await two.close()


async def wildcards():
    one, two = await connect(), await connect()
    star, rest = await subscribe(one, "a.*.c"), await subscribe(one, "a.>")
    for subject in ("a.b.c", "a", "a.b", "a.x.c", "b.b.c"):
        await two.publish(subject, b"")
    await two.flush()
    await one.flush()
    for sub, wanted in ((star, ["a.b.c", "a.x.c"]), (rest, ["a.b.c", "a.b", "a.x.c"])):
        assert [(await sub.next_msg(PATIENCE)).subject for _ in wanted] == wanted
        assert sub.pending_msgs == 0
    await one.close()
    await two.close()


async def queue_groups():
    count = 400
    publisher, members, done = await connect(), [], asyncio.Queue()
    for member in range(2):
        nc = await connect()

        async def work(_, member=member):
            await done.put(member)

        await subscribe(nc, "work", queue="workers", cb=work)
        members.append(nc)
    for _ in range(count):
        await publisher.publish("work", b"x")
    got = [await done.get() for _ in range(count)]
    assert min(got.count(0), got.count(1)) >= count * 35 // 100, (got.count(0), got.count(1))
    for nc in (publisher, *members):
        await nc.flush()
    assert done.empty()
    for nc in (publisher, *members):
        await nc.close()


async def requests():
    asker, answerer = await connect(), await connect()

    async def double(msg):
        await msg.respond(b"%d" % (2 * int(msg.data)))

    await subscribe(answerer, "double", cb=double)
    for n in range(200):
        answer = await asker.request("double", b"%d" % n, timeout=PATIENCE)
        assert int(answer.data) == 2 * n
    await asker.close()
    await answerer.close()


async def headers():
    one, two = await connect(), await connect()
    sub = await subscribe(two, "h")
    await one.publish("h", b"body", headers={"Trace": "7f", "Other": "with: a colon"})
    msg = await sub.next_msg(PATIENCE)
    assert msg.headers == {"Trace": "7f", "Other": "with: a colon"}, msg.headers
    assert msg.data == b"body"
    await one.close()
    await two.close()


async def no_responders():
    nc = await connect()
    try:
        await nc.request("nobody.home", b"", timeout=PATIENCE)
        raise AssertionError("nobody can have answered")
    except NoRespondersError:
        pass
    await nc.close()


async def unsubscribe_after():
    one, two = await connect(), await connect()
    sub = await subscribe(one, "few")
    await sub.unsubscribe(limit=3)
    await one.flush()
    for _ in range(10):
        await two.publish("few", b"")
    await two.flush()
    await one.flush()
    assert len([await sub.next_msg(PATIENCE) for _ in range(3)]) == 3
    assert sub.pending_msgs == 0
    await one.close()
    await two.close()


async def drain():
    closed = asyncio.Event()

    async def on_closed():
        closed.set()

    one, two = await connect(closed_cb=on_closed), await connect()
    got = []

    async def note(msg):
        got.append(msg)

    await subscribe(one, "in", cb=note)
    out = await subscribe(two, "out")
    for _ in range(200):
        await two.publish("in", b"")
        await one.publish("out", b"")
    await two.flush()
    await one.drain()
    await closed.wait()
    assert len(got) == 200, len(got)
    for _ in range(200):
        await out.next_msg(PATIENCE)
    await two.close()


async def large_payloads():
    one, two = await connect(), await connect()
    limit = one.max_payload
    assert limit == 1024 * 1024, limit
    sub = await subscribe(two, "large")
    for size in (65535, 65536, 500000, limit - 1, limit):
        payload = (b"0123456789a" * (size // 11 + 1))[:size]
        await one.publish("large", payload)
        assert (await sub.next_msg(PATIENCE)).data == payload, size
    try:
        await one.publish("large", bytes(limit + 1))
        raise AssertionError("too large, and sent")
    except MaxPayloadError:
        pass
    await one.close()
    await two.close()


async def reconnect():
    back = asyncio.Event()

    async def on_back():
        back.set()

    async def quiet(_):
        pass

    one = await connect(reconnect_time_wait=0.02, max_reconnect_attempts=-1, reconnected_cb=on_back, error_cb=quiet)
    sub = await subscribe(one, "still")
    print("restart", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await back.wait()
    await one.flush()
    two = await connect()
    await two.publish("still", b"there")
    assert (await sub.next_msg(PATIENCE)).data == b"there"
    await one.close()
    await two.close()


async def identify(form, folder):
    """Presents credentials or the seed of a key, in files of this folder: the right ones let in, others do not."""
    option = {"creds": "user_credentials", "nkey": "nkeys_seed"}[form]
    right, wrong = {"creds": ("plain.creds", "revoked.creds"), "nkey": ("key.seed", "stranger.seed")}[form]

    async def quiet(_):
        pass

    nc = await connect(**{option: f"{folder}/{right}"})
    sub = await subscribe(nc, "who")
    await nc.publish("who", b"me")
    assert (await sub.next_msg(PATIENCE)).data == b"me"
    await nc.close()
    try:
        await connect(**{option: f"{folder}/{wrong}"}, allow_reconnect=False, error_cb=quiet)
    except Exception as error:
        assert "authorization violation" in str(error).lower(), error
    else:
        raise AssertionError(f"{wrong} lets in")


async def refused(**options):
    async def quiet(_):
        pass

    try:
        await nats.connect(URL, **options, allow_reconnect=False, error_cb=quiet)
    except Exception:
        return
    raise AssertionError("let in")


async def over_tls(form, folder):
    """Goes through a part of the list, with the certificates of this folder."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    PRIVATE.update(tls=context)
    if form == "mutual":
        await refused(tls=ssl.create_default_context(cafile=f"{folder}/ca.pem"))
        context.load_cert_chain(f"{folder}/client.pem", f"{folder}/client.key")
    if form == "first":
        PRIVATE.update(tls_handshake_first=True)
    await refused(tls=ssl.create_default_context())
    await publish_and_subscribe()
    await large_payloads()
    await reconnect()


async def main():
    if len(sys.argv) > 2 and sys.argv[2] in ("tls", "mutual", "first"):
        await asyncio.wait_for(over_tls(*sys.argv[2:]), 3 * PATIENCE)
        print("  ok   " + sys.argv[2], file=sys.stderr)
        return
    if len(sys.argv) > 2:
        await asyncio.wait_for(identify(*sys.argv[2:]), 3 * PATIENCE)
        print("  ok   " + sys.argv[2], file=sys.stderr)
        return
    steps = (
        publish_and_subscribe,
        wildcards,
        queue_groups,
        requests,
        headers,
        no_responders,
        unsubscribe_after,
        drain,
        large_payloads,
        reconnect,
    )
    for step in steps:
        await asyncio.wait_for(step(), 3 * PATIENCE)
        print("  ok   " + step.__name__.replace("_", " "), file=sys.stderr)


asyncio.run(main())
