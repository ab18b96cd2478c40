/** Host-wide interception: whole machines of network namespaces, with another machine beside them, and the packet filter as it is. Needs root. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { noExclusions } from '../../src/base/exclusions.ts'
import type { HostCaptureOptions } from '../../src/io/capture.ts'

const run = promisify(execFile)
const exists = (tool: string): Promise<boolean> =>
  run('which', [tool], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }).then(
    () => true,
    () => false,
  )

async function reason(): Promise<string | false> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root may change the packet filter'
  for (const tool of ['unshare', 'nsenter', 'ip', 'nft', 'curl', 'setpriv']) if (!(await exists(tool))) return `${tool} is not installed`
  const tried = await run('unshare', ['--net', '--mount', 'nft', 'add table inet t']).catch((error: Error) => error.message)
  return typeof tried === 'string' ? `no network namespace with a packet filter can be had here: ${tried}` : false
}

const skip = await reason()
const hasIptables = await exists('iptables')

type Machine = AsyncDisposable & {
  /** Runs in it; resolves with what it printed, errors included. */
  run(...command: string[]): Promise<string>
  as(uid: number, ...command: string[]): Promise<string>
  start(...command: string[]): ChildProcess
}

/** Two machines on one wire: 10.99.0.1 and fd99::1, and another that is 10.99.0.2 and fd99::2 and the way to everywhere. hidden: tools that the first has not. */
async function machines(hidden: readonly string[] = []): Promise<{ one: Machine; other: Machine }> {
  const wires = `w${process.pid}${Math.random().toString(36).slice(2, 6)}`.slice(0, 12)
  const [one, other] = await Promise.all([machine(), machine()])
  await one.run('ip', 'link', 'add', `${wires}a`, 'type', 'veth', 'peer', 'name', `${wires}b`)
  await one.run('ip', 'link', 'set', `${wires}b`, 'netns', String(other.pid))
  for (const [each, wire, last] of [
    [one, `${wires}a`, 1],
    [other, `${wires}b`, 2],
  ] as const) {
    await each.run('ip', 'address', 'add', `10.99.0.${last}/24`, 'dev', wire)
    await each.run('ip', 'address', 'add', `fd99::${last}/64`, 'dev', wire, 'nodad')
    await each.run('ip', 'link', 'set', wire, 'up')
  }
  await one.run('ip', 'route', 'add', 'default', 'via', '10.99.0.2')
  await one.run('ip', '-6', 'route', 'add', 'default', 'via', 'fd99::2')
  await other.run('ip', 'route', 'add', 'local', 'default', 'dev', 'lo') // it is everywhere, and refuses at once
  for (const tool of hidden) await one.run('mount', '--bind', '/dev/null', `/usr/sbin/${tool}`)
  return { one, other }
}

async function machine(): Promise<Machine & { readonly pid: number }> {
  const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', 'ip link set lo up; echo up; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise(done => holder.stdout.once('data', done))
  const pid = holder.pid!
  const inside = ['-t', String(pid), '--net', '--mount', '--']
  const started = new Set<ChildProcess>()
  const runIn = (...command: string[]) =>
    run('nsenter', [...inside, ...command]).then(
      ({ stdout }) => stdout,
      (error: Error & { stdout: string; stderr: string }) => `${error.stdout}${error.stderr}`,
    )
  return {
    pid,
    run: runIn,
    as: (uid, ...command) => runIn('setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...command),
    start(...command) {
      const child = spawn('nsenter', [...inside, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
      started.add(child.once('exit', () => started.delete(child)))
      return child
    },
    async [Symbol.asyncDispose]() {
      for (const child of started) child.kill('SIGKILL')
      const gone = new Promise(done => holder.once('exit', done))
      holder.kill('SIGKILL')
      await gone
    },
  }
}

type Asked = Partial<Pick<HostCaptureOptions, 'select' | 'exclude' | 'inbound' | 'mode'>> & {
  readonly dial?: { host: string; port: number }
}

async function capture(on: Machine, asked: Asked = {}) {
  const options = { select: { uids: ['4242'], cgroups: [], all: false }, exclude: noExclusions, inbound: [], mode: 'redirect', ...asked }
  const child = on.start(
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'interception/capture.ts'),
    JSON.stringify(options),
  )
  const told: Record<string, unknown>[] = []
  const lines = createInterface(child.stdout!)
  lines.on('line', line => told.push(JSON.parse(line) as Record<string, unknown>))
  const until = async (type: string) => {
    for (let tries = 0; tries < 400; tries++) {
      const found = told.find(event => event['type'] === type)
      if (found !== undefined) return found
      if (child.exitCode !== null) throw new Error(`the capture ended with ${child.exitCode}`)
      await pause(25)
    }
    throw new Error(`nothing was told of "${type}"`)
  }
  const captured = (await until('captured')) as { says: string; cleaned: number[] }
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const gone = new Promise(done => child.once('exit', done))
    child.kill(signal)
    await gone
  }
  return {
    ...captured,
    pid: child.pid!,
    until,
    end,
    [Symbol.asyncDispose]: () => ((child.exitCode ?? child.signalCode) === null ? end('SIGTERM') : Promise.resolve()),
  }
}

/** As curl says it: nobody listens there. */
const refused = /^curl: \(7\)/
const curl = ['curl', '-sS', '-g', '-m', '8']
/** What there is of ours in the packet filter. */
const rules = async (on: Machine): Promise<string> =>
  (
    await Promise.all([
      on.run('nft', 'list', 'tables'),
      hasIptables ? on.run('iptables-save', '-t', 'nat') : '',
      hasIptables ? on.run('ip6tables-save', '-t', 'nat') : '',
    ])
  )
    .flatMap(text => text.split('\n'))
    .filter(line => /weft/i.test(line))
    .join('\n')

for (const [filter, hidden, mode] of [
  ['nftables', [], 'redirect'],
  ['nftables', [], 'tproxy'],
  ['iptables', ['nft'], 'redirect'],
] as const)
  describe(`captured by ${filter}, callers by ${mode}`, {
    skip: skip || (filter === 'iptables' && !hasIptables ? 'iptables is not installed' : false),
    timeout: 60_000,
  }, () => {
    let one: Machine
    let other: Machine
    before(async () => {
      ;({ one, other } = await machines(hidden))
    })
    after(async () => {
      await one[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
    })

    test('connections of the chosen user arrive with where they were going, over IPv4 and IPv6; names are answered', async () => {
      await using captured = await capture(one, { mode })
      assert.match(captured.says, new RegExp(`^${filter} `))
      assert.equal(await one.as(4242, ...curl, 'http://203.0.113.9/'), 'captured 203.0.113.9 80')
      assert.equal(await one.as(4242, ...curl, 'http://[2001:db8::9]:81/'), 'captured 2001:db8::9 81')
      assert.equal(await one.as(4242, ...curl, 'http://anything.test:82/'), 'captured 240.77.0.99 82')
      assert.match(await one.as(4243, ...curl, 'http://203.0.113.9/'), refused)
    })

    test('callers from another machine arrive with their own address; other ports are left alone', async () => {
      await using _ = await capture(one, { mode, inbound: [8080] })
      assert.equal(await other.run(...curl, 'http://10.99.0.1:8080/'), 'caller 10.99.0.2 of 10.99.0.1 8080')
      assert.equal(await other.run(...curl, 'http://[fd99::1]:8080/'), 'caller fd99::2 of fd99::1 8080')
      assert.match(await other.run(...curl, 'http://10.99.0.1:8081/'), refused)
    })

    test('what is left out is as without the mesh, by port, network and user', async () => {
      const exclude = {
        outboundPorts: ['7001', '7003-7005'],
        outboundCidrs: ['203.0.113.0/24', '2001:db8::/32'],
        outboundUids: ['4243'],
        inboundPorts: ['8081'],
        inboundCidrs: ['10.99.0.2/32'],
      }
      await using _ = await capture(one, {
        mode,
        exclude,
        select: { uids: ['4242', '4243'], cgroups: [], all: false },
        inbound: [8080, 8081],
      })
      assert.equal(await one.as(4242, ...curl, 'http://10.99.0.2:7002/'), 'captured 10.99.0.2 7002')
      for (const url of ['http://10.99.0.2:7001/', 'http://10.99.0.2:7004/']) assert.match(await one.as(4242, ...curl, url), refused, url)
      assert.match(await one.as(4242, ...curl, 'http://203.0.113.9/'), refused)
      assert.match(await one.as(4243, ...curl, 'http://10.99.0.2:7002/'), refused)
      assert.match(await other.run(...curl, 'http://10.99.0.1:8080/'), refused)
      assert.equal(await other.run(...curl, 'http://[fd99::1]:8080/'), 'caller fd99::2 of fd99::1 8080')
      assert.match(await other.run(...curl, 'http://[fd99::1]:8081/'), refused)
    })

    test("with all of the machine captured, the proxy's own connections do not come back to it", async () => {
      const server = other.start(
        'python3',
        '-c',
        'import socket;s=socket.create_server(("",9000));print("up",flush=True)\nwhile 1: s.accept()[0].sendall(b"real")',
      )
      await new Promise(done => server.stdout!.once('data', done))
      await using captured = await capture(one, {
        mode,
        select: { uids: [], cgroups: [], all: true },
        dial: { host: '10.99.0.2', port: 9000 },
      })
      assert.deepEqual(await captured.until('dialled'), { type: 'dialled', reply: 'real' })
      assert.equal(await one.run(...curl, 'http://203.0.113.9/'), 'captured 203.0.113.9 80') // root too
      server.kill()
    })

    test('when it ends in order, no rule and no route is left', async () => {
      const captured = await capture(one, { mode, inbound: [8080] })
      assert.notEqual(await rules(one), '')
      await captured.end('SIGTERM')
      assert.equal(await rules(one), '')
      assert.equal(await one.run('sh', '-c', 'ip route show table local | grep 240.7 || true'), '')
    })

    test(
      filter === 'nftables' ? 'when it is killed, the kernel takes its rules away' : 'when it is killed, the next one takes its rules away',
      async () => {
        const captured = await capture(one, { mode, inbound: [8080] })
        await captured.end('SIGKILL')
        if (filter === 'nftables') {
          for (let tries = 0; (await rules(one)) !== '' && tries < 80; tries++) await pause(25)
          assert.equal(await rules(one), '')
        } else {
          assert.match(await rules(one), /WEFT_/)
          const next = await capture(one, { mode })
          assert.equal(next.cleaned.length, 1)
          await next.end('SIGTERM')
          assert.equal(await rules(one), '')
        }
      },
    )

    test('rules of the living are left alone by who comes after', async () => {
      await using _ = await capture(one, { mode })
      const next = await capture(one, { mode, select: { uids: ['4300'], cgroups: [], all: false } })
      assert.deepEqual(next.cleaned, [])
      assert.equal(await one.as(4300, ...curl, 'http://203.0.113.9/'), 'captured 203.0.113.9 80')
      await next.end('SIGTERM')
      assert.equal(await one.as(4242, ...curl, 'http://203.0.113.9/'), 'captured 203.0.113.9 80')
      assert.equal(await one.as(4242, ...curl, 'http://anything.test/'), 'captured 240.77.0.99 80') // the way to virtual addresses is still there
    })
  })

describe('captured by cgroup', { skip, timeout: 30_000 }, () => {
  const cgroup = `weft-test-${process.pid}`
  const root = / (\/\S*) cgroup2 /.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1]
  const folder = `${root}/${cgroup}`

  test('programs in it are captured, those of the same user outside it are not', async t => {
    try {
      mkdirSync(folder)
    } catch (thrown) {
      return t.skip(`no cgroup can be made here: ${(thrown as Error).message}`)
    }
    t.after(() => rmdirSync(folder))
    const { one, other } = await machines()
    await using _one = one
    await using _other = other
    let says = ''
    try {
      await using captured = await capture(one, { select: { uids: [], cgroups: [folder], all: false } })
      says = captured.says
      assert.equal(
        await one.run('sh', '-c', `echo $$ > ${folder}/cgroup.procs; exec ${curl.join(' ')} http://203.0.113.9/`),
        'captured 203.0.113.9 80',
      )
      assert.match(await one.run(...curl, 'http://10.99.0.2/'), refused)
    } catch (thrown) {
      if (says === '') return t.skip(`the packet filter cannot tell cgroups here: ${(thrown as Error).message}`)
      throw thrown
    }
  })
})

describe('weft capture', { skip, timeout: 60_000 }, () => {
  test('a program that runs already calls the mesh and is called by it, with identities; the clean-up is told', async t => {
    const home = mkdtempSync(join(tmpdir(), 'weft-capture-'))
    t.after(() => rmSync(home, { recursive: true, force: true }))
    const { one, other } = await machines()
    await using _one = one
    await using _other = other
    const weft = [
      'env',
      `HOME=${home}`,
      'WEFT_LOG=error',
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, '../../src/bin/weft.ts'),
    ]
    const server = join(home, 'server.mjs')
    writeFileSync(
      server,
      'import http from "node:http"; http.createServer((q, s) => s.end(process.argv[2] + " " + (q.headers["x-forwarded-client-cert"] ?? "nobody"))).listen(8080, () => console.log("up"))',
    )
    const up = (child: ChildProcess): Promise<unknown> => new Promise(done => child.stdout!.once('data', done))
    await up(one.start(...weft, 'control', '--data', join(home, 'control'), '-o', 'json'))
    one.start(...weft, 'run', '--name', 'greeter', '--port', '8080/http', '--', process.execPath, server, 'greeter')
    await up(one.start(process.execPath, server, 'orders')) // stands for a service of the system, started by nobody here
    const captured = one.start(...weft, 'capture', '--name', 'orders', '--port', '8080/http', '--uid', '4242', '--drain', '1')
    const answers = async (ask: () => Promise<string>, like: RegExp) => {
      let said = ''
      for (let tries = 0; tries < 60 && !like.test(said); tries++) {
        said = await ask()
        if (!like.test(said)) await pause(200)
      }
      assert.match(said, like)
    }
    await answers(() => one.as(4242, ...curl, 'http://greeter:8080/'), /^greeter .*URI=spiffe:\/\/weft\.local\/ns\/default\/sa\/orders$/)
    await answers(() => one.run(...weft, 'run', '--name', 'caller', '--', ...curl, 'http://orders:8080/'), /^orders .*sa\/caller$/)
    // From outside the mesh nobody gets past the proxy to the port: not where an identity is demanded.
    assert.match(await other.run(...curl, 'http://10.99.0.1:8080/'), /^orders nobody$/)
    const strict = join(home, 'strict.yaml')
    writeFileSync(
      strict,
      JSON.stringify({
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'AuthenticationPolicy',
        metadata: { name: 'strict', namespace: 'weft-system' },
        spec: { targetRefs: [{ kind: 'Mesh' }], mtls: { mode: 'Strict' } },
      }),
    )
    await one.run(...weft, 'apply', '--wait', '-f', strict)
    assert.match(await other.run(...curl, 'http://10.99.0.1:8080/'), /the caller proved no identity/)
    const gone = new Promise(done => captured.once('exit', done))
    captured.kill('SIGTERM')
    await gone
    assert.equal(await rules(one), '')
    assert.match(await other.run(...curl, 'http://10.99.0.1:8080/'), /^orders nobody$/)
    assert.match(await one.run('sh', '-c', `${weft.join(' ')} capture --clean 2>&1`), /nothing was left behind/)
  })
})
