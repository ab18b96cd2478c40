/** Programs that nobody here wrote, captured in network namespaces: as the current user, and when that is root also as an ordinary one. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import net from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { afterEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { canCapture } from '../../src/io/namespace.ts'

type User = { readonly name: string; readonly become: readonly string[]; readonly skip: string | false; readonly root: boolean }
type Told = { readonly type: string; readonly [more: string]: unknown }

const runner = join(import.meta.dirname, 'namespace/run.ts')
const node = [process.execPath, '--disable-warning=ExperimentalWarning']
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
const python = '/usr/bin/python3'
const folder = mkdtempSync(join(tmpdir(), 'weft-e2e-'))
chmodSync(folder, 0o755)
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const running = new Set<ChildProcess>()
afterEach(() => running.forEach(child => child.kill('SIGTERM'))) // what a failed test left

for (const user of await users()) {
  describe(`captured as ${user.name}`, { skip: user.skip, timeout: 300_000 }, () => {
    test('three programs serve port 8080 at once and each is dialled in its own namespace', async () => {
      const servers = await Promise.all(
        ['one', 'two', 'three'].map(async word => {
          const served = join(folder, `${user.name}-${word}`)
          writeFileSync(served, word)
          return { word, program: await launch(user, [python, '-c', serving(served)]) }
        }),
      )
      for (const { word, program } of servers) {
        assert.equal(await program.dialUntilUp(8080), word)
        program.kill('SIGTERM')
        assert.equal((await program.ended).code, 0)
      }
    })

    test('curl by name, by IPv4 and by IPv6 address arrives with its original destination', async () => {
      const urls = ['http://catalog:8080/', 'http://203.0.113.9/', 'http://[2001:db8::1]:99/']
      const program = await launch(user, ['curl', '-sS', '--no-progress-meter', '-w', '\\n', ...urls])
      const { code, output } = await program.ended
      assert.deepEqual([code, output], [0, '10.1.2.3 8080\n203.0.113.9 80\n2001:db8::1 99\n'])
      assert.deepEqual(
        program.all('captured').map(({ destination, paused, halfOpen }) => ({ destination, paused, halfOpen })),
        [
          { host: '10.1.2.3', port: 8080 },
          { host: '203.0.113.9', port: 80 },
          { host: '2001:db8::1', port: 99 },
        ].map(destination => ({ destination, paused: true, halfOpen: true })),
      )
      assert.ok(program.all('dns').some(({ name }) => name === 'catalog.shop.svc.cluster.local'))
    })

    test('DNS is answered over UDP and TCP, whichever server is asked', async () => {
      const { output } = await (await launch(user, [python, '-c', asking])).ended
      assert.equal(output, '10.1.2.3\nudp 192.0.2.53 10.1.2.3\ntcp 192.0.2.53 10.1.2.3\nudp 2001:db8::53 10.1.2.3\n')
    })

    test('nothing goes round the proxy: not to an address of this machine, nor to its loopback', async () => {
      await using listening = await hostListener()
      const addresses = Object.values(networkInterfaces()).flatMap(all => all ?? [])
      const outside = addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '198.51.100.1'
      const program = await launch(user, ['curl', '-sS', `http://${outside}:${listening.port}/`])
      assert.equal((await program.ended).output, `${outside} ${listening.port}`)
      const local = await launch(user, ['curl', '-sS', `http://127.0.0.1:${listening.port}/`])
      assert.equal((await local.ended).code, 7, 'curl: connection refused') // its own loopback, where nobody listens
      assert.deepEqual(local.all('captured'), [])
      assert.equal(listening.accepted(), 0)
    })

    test('a dial to the capture port itself is closed, not relayed in a circle', async () => {
      const program = await launch(user, [python, '-c', 'import socket;s=socket.create_connection(("127.0.0.1",15001),5);print(s.recv(9))'])
      assert.match((await program.ended).output, /b''|ConnectionReset/)
      assert.deepEqual(program.all('captured'), [])
    })

    test('datagrams to elsewhere fail at once', async () => {
      const send =
        'import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(20)\ntry:\n  s.sendto(b"x",("203.0.113.9",9));s.recv(9)\nexcept OSError as e: print(type(e).__name__)'
      assert.equal((await (await launch(user, [python, '-c', send])).ended).output, 'PermissionError\n')
    })

    for (const [family, host] of [
      ['AF_INET', '203.0.113.9'],
      ['AF_INET6', '2001:db8::9'],
    ] as const) {
      test(`datagrams over ${family} arrive with where they were going, flow by flow, and answers come from there`, async () => {
        const program = await launch(user, [python, '-c', conversing(family, host)], { UDP: '1' })
        const { output } = await program.ended
        const flow = ['a', 'b', 'c'].map((word, at) => `${host} 123 ${at + 1} ${word} ${host} 123\n`).join('')
        assert.equal(output, flow + flow)
        assert.equal(program.all('session').length, 2)
        assert.equal(program.all('session-closed').length, 2)
      })

      test(`datagrams over ${family} that nobody takes are refused visibly`, async () => {
        const send = `import socket;s=socket.socket(socket.${family},socket.SOCK_DGRAM);s.settimeout(20);s.connect(("${host}",9));s.send(b"x")\ntry: s.recv(9)\nexcept OSError as e: print(type(e).__name__)`
        assert.equal((await (await launch(user, [python, '-c', send], { UDP: '1' })).ended).output, 'ConnectionRefusedError\n')
      })
    }

    test('two hundred flows of datagrams at once are told apart', async () => {
      const program = await launch(user, [python, '-c', crowding], { UDP: '1' })
      assert.equal((await program.ended).output, '200\n')
    })

    test('ports and networks that are left out go by another way, the rest as ever', async () => {
      const exclude = {
        outboundPorts: ['81', '90-95'],
        outboundCidrs: ['10.0.0.0/8', '2001:db8::/32'],
        outboundUids: [],
        inboundPorts: [],
        inboundCidrs: [],
      }
      const urls = [
        'http://203.0.113.1/',
        'http://203.0.113.1:81/',
        'http://203.0.113.1:93/',
        'http://10.1.1.1/',
        'http://[2001:db8::1]:5/',
      ]
      const program = await launch(user, ['curl', '-sS', '--no-progress-meter', '-w', '\\n', ...urls], { EXCLUDE: JSON.stringify(exclude) })
      assert.equal((await program.ended).output, '203.0.113.1 80\nexcluded 81\nexcluded 93\nexcluded 80\nexcluded 5\n')
    })

    test('users that are left out go by another way', { skip: user.root ? false : 'only root can become another user' }, async () => {
      const exclude = { outboundPorts: [], outboundCidrs: [], outboundUids: ['65534'], inboundPorts: [], inboundCidrs: [] }
      const both = 'curl -s http://203.0.113.1/; echo; exec setpriv --reuid 65534 --clear-groups curl -s http://203.0.113.1/'
      const program = await launch(user, ['sh', '-c', both], { EXCLUDE: JSON.stringify(exclude) })
      assert.equal((await program.ended).output, '203.0.113.1 80\nexcluded 80')
    })

    for (const code of [0, 3, 255]) {
      test(`exit code ${code} is passed on`, async () => {
        const { code: seen, told } = await (await launch(user, ['sh', '-c', `exit ${code}`])).ended
        assert.deepEqual([seen, told], [code, { type: 'exited', code, signal: null }])
      })
    }

    test('the signal that ended the program is told', async () => {
      const { told } = await (await launch(user, ['sh', '-c', 'kill -USR1 $$'])).ended
      assert.deepEqual(told, { type: 'exited', code: null, signal: 'SIGUSR1' })
    })

    test('a command that does not exist is 127, one that cannot be executed 126', async () => {
      const absent = await (await launch(user, ['no-such-program'])).ended
      assert.equal(absent.code, 127)
      assert.match(absent.errors, /no-such-program: command not found in PATH/)
      const plain = join(folder, `${user.name}-plain`)
      writeFileSync(plain, 'text', { mode: 0o644 })
      assert.equal((await (await launch(user, [plain])).ended).code, 126)
    })

    test('TERM passes through and the program answers it in its own way', async () => {
      const program = await launch(user, ['sh', '-c', 'trap "exit 42" TERM; echo up; while :; do sleep 0.05; done'])
      await program.printed('up')
      program.kill('SIGTERM')
      assert.equal((await program.ended).code, 42)
    })

    test('background children are ended with the program, also stubborn ones', async () => {
      const program = await launch(user, [
        'sh',
        '-c',
        'sleep 300 & echo $!; sh -c "trap : TERM; echo \\$\\$; while :; do sleep 1; done" & sleep 0.3; exit 5',
      ])
      const { code, output } = await program.ended
      assert.equal(code, 5)
      const left = output
        .trim()
        .split('\n')
        .filter(pid => isRunning(Number(pid)))
      assert.deepEqual([output.trim().split('\n').length, left], [2, []])
    })

    test('the program ends when its proxy is killed', async () => {
      const program = await launch(user, ['sh', '-c', 'echo up; exec sleep 300'])
      await program.printed('up')
      program.kill('SIGKILL')
      await program.ended
      for (let tries = 0; isRunning(program.pid) && tries < 100; tries += 1) await pause(50)
      assert.equal(isRunning(program.pid), false)
    })

    test('the program is the user that started it, with its environment and folder, and cannot undo the capture', async () => {
      const show = `id -u; pwd; env | grep -c -e '^dotted[.]name=1$'; env | grep -c WEFT; ls /proc/self/fd | wc -l; exec 2>&1; ip link set lo down; nft list ruleset >/dev/null; nsenter -t 1 -n true`
      const { output } = await (await launch(user, ['bash', '-c', show], { 'dotted.name': '1' })).ended
      const [uid, cwd, dotted, marker, files, ...refused] = output.trim().split('\n')
      assert.deepEqual(
        [uid, cwd, dotted, marker],
        [user.root ? '0' : String(user.become.length > 0 ? 65534 : process.getuid!()), folder, '1', '0'],
      )
      const plain = spawnSync('sh', ['-c', 'ls /proc/self/fd | wc -l'], { stdio: ['ignore', 'pipe', 'ignore'] })
      assert.equal(files, plain.stdout.toString().trim(), 'no file descriptor of the proxy reaches the program')
      assert.deepEqual(
        refused.map(line => /not permitted|denied/.exec(line)?.[0]).filter(found => found === undefined),
        [],
        refused.join('\n'),
      )
      assert.ok(refused.length >= 3, refused.join('\n'))
    })

    test('an ordinary user may listen on port 80, and a program on ::1 alone is reached', async () => {
      const six =
        'import socket;s=socket.create_server(("::1",80),family=socket.AF_INET6);c,a=s.accept();c.recv(9);c.send(a[0].encode());c.close()'
      const program = await launch(user, [python, '-c', six])
      assert.equal(await program.dialUntilUp(80), '::1')
    })

    test('a dial to a closed port rejects with ECONNREFUSED', async () => {
      const program = await launch(user, ['sleep', '300'])
      assert.deepEqual(await program.dial(8080), { code: 'ECONNREFUSED', error: 'connect ECONNREFUSED 127.0.0.1:8080' })
      program.kill('SIGTERM')
      await program.ended
    })

    test('a burst of dials larger than the store of sockets all connect', async () => {
      const served = join(folder, `${user.name}-burst`)
      writeFileSync(served, 'burst')
      const program = await launch(user, [python, '-c', serving(served)])
      await program.dialUntilUp(8080)
      const replies = await Promise.all(Array.from({ length: 200 }, () => program.dial(8080)))
      assert.deepEqual(new Set(replies.map(({ reply, error }) => reply ?? error)), new Set(['burst']))
      program.kill('SIGTERM')
      await program.ended
    })

    test('a program that takes datagrams gets them from outside its namespace, and one that does not is a refusal', async () => {
      const echo =
        'import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(("",5300));print("up",flush=True)\nwhile 1:\n  d,a=s.recvfrom(99);s.sendto(d.upper()+b" "+a[0].encode(),a)'
      const program = await launch(user, [python, '-c', echo])
      await program.printed('up')
      assert.deepEqual(await program.dial(5300, true), { reply: 'HELLO 127.0.0.1' })
      assert.deepEqual(await program.dial(5301, true), { code: 'ECONNREFUSED' })
    })

    test('localhost and its own name lead a program to itself, and its files say that the mesh answers', async () => {
      const own =
        'import socket;print(socket.gethostbyname("localhost"),socket.gethostbyname(socket.gethostname()));print(open("/etc/resolv.conf").read())'
      const before = existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf', 'utf8') : ''
      const { output } = await (await launch(user, [python, '-c', own])).ended
      assert.match(output, /^127\.0\.0\.1 192\.0\.0\.2\n/)
      assert.match(output, /search shop\.svc\.cluster\.local/)
      assert.equal(existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf', 'utf8') : '', before, 'the machine keeps its own')
    })
  })
}

async function users(): Promise<User[]> {
  const isRoot = process.getuid?.() === 0
  const able = await canCapture()
  const skip = able.ok ? (existsSync(python) ? false : 'Python 3 is not installed') : `${able.why}: ${able.remedy}`
  const current: User = { name: isRoot ? 'root' : 'this user', become: [], skip, root: isRoot }
  if (!isRoot) return [current]
  const [file = '', ...args] = [...asNobody, ...node, '-e', 'require("node:fs").readFileSync(process.argv[1])', runner]
  const readable = spawnSync(file, args, { encoding: 'utf8' }).status === 0
  return [
    current,
    {
      name: 'nobody',
      become: asNobody,
      root: false,
      skip: skip || (readable ? false : 'this checkout or Node is not readable for other users'),
    },
  ]
}

type Ended = { readonly code: number | null; readonly output: string; readonly errors: string; readonly told: Told | undefined }

async function launch(user: User, command: readonly string[], env: Record<string, string> = {}) {
  const [file = '', ...args] = [...user.become, ...node, runner, ...command]
  const child = spawn(file, args, {
    cwd: folder,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, LC_ALL: 'C', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  running.add(child.once('exit', () => running.delete(child)))
  const told: Told[] = []
  const waiting = new Set<() => void>()
  let output = ''
  let errors = ''
  const wake = () => waiting.forEach(look => look())
  child.stdin.on('error', () => {})
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString()
    wake()
  })
  createInterface(child.stderr).on('line', line => {
    errors += `${line}\n`
    // What the program writes at the same time may stand before it.
    const at = line.indexOf('@{"')
    if (at >= 0) told.push(JSON.parse(line.slice(at + 1)) as Told)
    wake()
  })
  const ended = closed(child).then((code): Ended => ({ code, output, errors, told: told.find(({ type }) => type === 'exited') }))
  const until = <T>(find: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = find()
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
      void ended.then(() => reject(new Error(`the program ended: ${errors}`)))
    })
  const begun = await until(() => told.find(({ type }) => ['launched', 'failed', 'refused'].includes(type)))
  let asked = 0
  const dial = async (port: number, udp = false): Promise<{ reply?: string; code?: string; error?: string }> => {
    asked += 1
    const id = asked
    child.stdin.write(`${JSON.stringify({ id, port, send: 'hello', udp })}\n`)
    const { type: _, id: __, ...rest } = await until(() => told.find(event => event.type === 'dialled' && event['id'] === id))
    return rest
  }
  return {
    pid: begun['pid'] as number,
    ended,
    dial,
    all: (type: string) => told.filter(event => event.type === type),
    kill: (signal: NodeJS.Signals) => void child.kill(signal),
    printed: (text: string) => until(() => output.includes(text) || undefined),
    async dialUntilUp(port: number): Promise<string | undefined> {
      for (;;) {
        const { reply, code, error } = await dial(port)
        if (code !== 'ECONNREFUSED') return reply ?? error
        await pause(20)
      }
    },
  }
}

const closed = (child: ChildProcess): Promise<number | null> => new Promise(done => child.once('close', code => done(code)))

/** A server on every address, port 8080, that answers with the content of a file and ends well on TERM. */
const serving = (file: string): string => `
import socket, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = socket.create_server(("", 8080), backlog=512)
while True:
  peer, _ = server.accept()
  peer.recv(9)
  peer.send(open("${file}", "rb").read())
  peer.close()
`

const asking = `
import socket
question = b"ab\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7catalog\\0\\0\\1\\0\\1"
show = lambda *what: print(*what, flush=True)
show(socket.gethostbyname("catalog"))
for kind, host in ("udp", "192.0.2.53"), ("tcp", "192.0.2.53"), ("udp", "2001:db8::53"):
  s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
  s.settimeout(10)
  s.connect((host, 53))
  s.send(question if kind == "udp" else len(question).to_bytes(2, "big") + question)
  show(kind, host, ".".join(map(str, s.recv(512)[-4:])))
`

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function hostListener() {
  let accepted = 0
  const server = net.createServer(socket => {
    accepted += 1
    socket.destroy()
  })
  await new Promise<void>(done => server.listen(0, '0.0.0.0', done))
  return {
    port: (server.address() as net.AddressInfo).port,
    accepted: () => accepted,
    [Symbol.asyncDispose]: () => new Promise<void>(done => server.close(() => done())),
  }
}

/** Three datagrams each from an unconnected and a connected socket, printed with who answered. */
function conversing(family: string, host: string): string {
  return `import socket
for connected in (0, 1):
  s = socket.socket(socket.${family}, socket.SOCK_DGRAM); s.settimeout(20)
  if connected: s.connect(("${host}", 123))
  for word in (b"a", b"b", b"c"):
    s.send(word) if connected else s.sendto(word, ("${host}", 123))
    said, place = s.recvfrom(99); print(said.decode(), place[0], place[1])`
}

/** One datagram each from two hundred sockets, all sent before the first answer is read. */
const crowding = `import socket
all = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(200)]
for at, s in enumerate(all): s.settimeout(20); s.sendto(str(at).encode(), ("203.0.113.9", 123))
print(sum(s.recv(99).decode() == "203.0.113.9 123 1 %d" % at for at, s in enumerate(all)))`
