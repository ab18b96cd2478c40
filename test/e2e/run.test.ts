/** `weft run` from outside: what a person who puts a command behind it relies on, in a real mesh with real processes. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { canCapture } from '../../src/io/namespace.ts'
import { childOf, freePort, isRunning, outsideAddress, served } from '../harness/machine.ts'
import { type Done, Mesh, path, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
const hasRedis = ['redis-server', 'redis-cli'].every(tool => path.split(delimiter).some(folder => existsSync(join(folder, tool))))
const app = (name: string, ...rest: readonly string[]): readonly string[] => [process.execPath, fixture('app'), name, ...rest]
const fixture = (name: string): string => join(import.meta.dirname, 'run', `${name}.mjs`)
const sh = (script: string): readonly string[] => ['/bin/sh', '-c', script]
const on8080 = ['--port', '8080']

describe('weft run', { skip }, () => {
  let mesh: Mesh
  let caller: Shell
  let folder: string
  /** It waits ten seconds: begun early, looked at late. */
  let alone: { readonly port: number; readonly done: Promise<Done> }
  let astray: { readonly port: number; readonly done: Promise<Done> }

  before(async () => {
    mesh = await Mesh.start()
    folder = join(mesh.folder, 'files')
    mkdirSync(folder)
    chmodSync(folder, 0o777)
    for (const name of ['one', 'two', 'three']) mesh.run(name, app(name), { flags: on8080 })
    caller = mesh.shell('caller')
    const port = await freePort()
    alone = { port, done: mesh.job('alone', ['echo', 'ran'], { flags: ['--control', `http://127.0.0.1:${port}`] }) }
    const closed = await freePort()
    const { token } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'astray' })
    const [head, body = '', mac] = token.split('.')
    const said = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
    const elsewhere = Buffer.from(JSON.stringify({ ...said, xds: `127.0.0.1:${closed}` })).toString('base64url')
    astray = { port: closed, done: mesh.job('astray', ['sleep', '60'], { flags: ['--token', `${head}.${elsewhere}.${mac}`] }) }
    await Promise.all(['one', 'two', 'three'].map(name => mesh.healthy(name)))
  })
  after(() => mesh[Symbol.asyncDispose]())

  describe('a command', { concurrency: 4 }, () => {
    for (const [script, expected] of [
      ['exit 0', 0],
      ['exit 3', 3],
      ['exit 255', 255],
      ['kill -USR1 $$', 128 + 10],
      ['kill -KILL $$', 128 + 9],
    ] as const) {
      test(`"${script}" makes weft run end with ${expected}`, async () => {
        const { code, stdout, stderr } = await mesh.job('ends', sh(script))
        assert.deepEqual([code, stdout, stderr], [expected, '', ''])
      })
    }

    test('gets its arguments, its standard input and its environment as they are, and nothing of Weft', async () => {
      const running = mesh.run('plain', sh('cat; printf "[%s]" "$@" "$GIVEN"; env | grep -c ^WEFT_').concat('sh', 'a b', '', '$x'), {
        env: { GIVEN: 'yes', WEFT_LOG: 'warn' },
      })
      running.child.stdin!.end('from standard input\n')
      const { code, stdout } = await running.exited
      assert.deepEqual([code, stdout], [1, 'from standard input\n[a b][][$x][yes]0\n'])
    })

    test('hears the signals that weft run hears', async () => {
      const running = mesh.run(
        'hears',
        sh('trap "echo usr1" USR1; trap "echo hup" HUP; trap "echo term; exit 42" TERM; echo up; while :; do sleep 0.02; done'),
      )
      const said = (text: string) => mesh.until(`"${text}" of the command`, () => running.stdout.endsWith(`${text}\n`))
      await said('up')
      running.child.kill('SIGUSR1')
      await said('usr1')
      running.child.kill('SIGHUP')
      await said('hup')
      const { code, stdout } = await running.stop('SIGTERM')
      assert.deepEqual([code, stdout], [42, 'up\nusr1\nhup\nterm\n'])
    })

    test('that does not exist is 127, one that cannot be executed 126, each with one line', async () => {
      const file = join(folder, 'text')
      writeFileSync(file, 'text', { mode: 0o644 })
      const [absent, plain] = await Promise.all([mesh.job('absent', ['no-such-program']), mesh.job('denied', [file])])
      refused(absent, 127, /no-such-program: command not found/)
      refused(plain, 126, /text: permission denied/i)
    })

    test('that ends takes its workload from the inventory at once', async () => {
      const running = mesh.run('batch', sh('read line; exit 7'))
      await mesh.until('the workload of the job', async () => (await mesh.healthOf('batch')).length === 1)
      running.child.stdin!.end('\n')
      assert.equal((await running.exited).code, 7)
      await mesh.until('an inventory without the job', async () => (await mesh.healthOf('batch')).length === 0, 1000)
    })

    test('that is told to end while it serves a request ends after the answer', async () => {
      const running = mesh.run('leaver', app('leaver'), { flags: on8080 })
      await mesh.healthy('leaver')
      const asked = mesh.job('patient', ['curl', '-sS', '--max-time', '20', 'http://leaver:8080/slow?ms=1500', '-w', '%{http_code}'])
      await mesh.until('the request', () => running.stdout.includes('slow'))
      const told = performance.now()
      const { code } = await running.stop('SIGTERM')
      const answer = await asked
      // Its server waits for connections that are kept; the proxy keeps none from then on.
      assert.ok(performance.now() - told < 5000, `${performance.now() - told} ms until it ended`)
      assert.deepEqual([code, answer.code, answer.stdout], [0, 0, 'leaver\n200'])
      assert.deepEqual(await mesh.healthOf('leaver'), [])
    })

    test('that would drop everything when it is told to end is told when what it serves is answered', async () => {
      const running = mesh.run('abrupt', app('abrupt'), { flags: on8080, env: { ABRUPT: 'yes' } })
      await mesh.healthy('abrupt')
      const asked = mesh.job('hopeful', ['curl', '-sS', '--max-time', '20', 'http://abrupt:8080/slow?ms=1500', '-w', '%{http_code}'])
      await mesh.until('the request', () => running.stdout.includes('slow'))
      const { code } = await running.stop('SIGTERM')
      const answer = await asked
      assert.deepEqual([code, answer.code, answer.stdout], [9, 0, 'abrupt\n200'])
    })

    test('that is told to end twice ends at once', async () => {
      const running = mesh.run('hasty', app('hasty'), { flags: [...on8080, '--drain', '60'], env: { ABRUPT: 'yes' } })
      await mesh.healthy('hasty')
      const asked = mesh.job('let-down', [
        'curl',
        '-sS',
        '--max-time',
        '40',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        'http://hasty:8080/slow?ms=30000',
      ])
      await mesh.until('the request', () => running.stdout.includes('slow'))
      running.child.kill('SIGTERM')
      await pause(300)
      const told = performance.now()
      const { code } = await running.stop('SIGTERM')
      assert.ok(performance.now() - told < 5000, `${performance.now() - told} ms after the second signal`)
      assert.equal(code, 9)
      assert.match((await asked).stdout, /^50[234]$/)
    })
  })

  describe('a workload', { concurrency: 5 }, () => {
    test('is given traffic when it listens, and not before', async () => {
      const [go, mark] = [join(folder, 'go'), join(folder, 'about-to-listen')]
      mesh.run('late', sh(`while [ ! -e ${go} ]; do sleep 0.05; done; touch ${mark}; exec "$@"`).concat('sh', ...app('late')), {
        flags: on8080,
      })
      await mesh.until('the workload', async () => (await mesh.healthOf('late')).length === 1)
      await mesh.until('its name', async () => (await caller.do('curl -sS -o /dev/null --max-time 20 http://late:8080/')).code === 0)
      const early = await caller.says('curl -sS -i --max-time 20 http://late:8080/')
      assert.match(early, /^HTTP\/1\.1 503 /)
      assert.match(early, /^x-weft-error: no-endpoint\r$/im)
      await pause(1000)
      assert.deepEqual(await mesh.healthOf('late'), ['unhealthy'])
      writeFileSync(go, '')
      await mesh.until('readiness', async () => {
        const [state] = await mesh.healthOf('late')
        if (state === 'healthy') assert.ok(existsSync(mark), 'healthy before it listened')
        return state === 'healthy'
      })
      await mesh.healthy('late')
      assert.equal(await caller.says('curl -sS --max-time 20 http://late:8080/'), 'late\n')
    })

    test('with --ready-http is given traffic only while it says that it is ready', async () => {
      const mark = join(folder, 'ready')
      mesh.run('says', app('says', '8080', mark), { flags: [...on8080, '--ready-http', '8080/ready'] })
      await mesh.until('the workload', async () => (await mesh.healthOf('says')).length === 1)
      for (let turn = 0; turn < 10; turn++) {
        assert.deepEqual(await mesh.healthOf('says'), ['unhealthy'])
        await pause(100)
      }
      writeFileSync(mark, '')
      await mesh.healthy('says')
      assert.equal(await caller.says('curl -sS --max-time 20 http://says:8080/'), 'says\n')
      rmSync(mark)
      await mesh.until('no readiness', async () => (await mesh.healthOf('says'))[0] === 'unhealthy')
    })

    test('has port 8080 for itself, and is found by every form of its name', async () => {
      assert.equal(await caller.says('curl -sS http://one:8080/ http://two:8080/ http://three:8080/'), 'one\ntwo\nthree\n')
      const forms = ['one.default', 'one.default.svc', 'one.default.svc.cluster.local', 'one.default.svc.cluster.local.', 'ONE']
      assert.equal(await caller.says(`curl -sS ${forms.map(name => `http://${name}:8080/`).join(' ')}`), 'one\n'.repeat(forms.length))
    })

    test('that does not exist has no address, said at once', async () => {
      for (const name of ['nobody.default.svc.cluster.local', 'nobody.default.mesh']) {
        const [code, ms] = (await caller.says(`s=$(date +%s%N); getent hosts ${name}; echo $? $((($(date +%s%N) - s) / 1000000))`)).split(
          ' ',
        )
        assert.equal(code, '2', `${name}: getent found no such name`)
        assert.ok(Number(ms) < 2000, `${name}: ${ms} ms`)
      }
    })

    test('of another namespace is called with the name of that', async () => {
      mesh.run('one', app('the other one'), { flags: [...on8080, '-n', 'other'] })
      await mesh.healthy('one', 1, 'other')
      const ask = 'curl -sS http://one:8080/ http://one.other:8080/ http://one.default:8080/'
      const { stdout } = await mesh.job('caller', sh(ask), { flags: ['--namespace', 'other'] })
      assert.equal(stdout, 'the other one\nthe other one\none\n')
      assert.equal(await caller.says(ask), 'one\nthe other one\none\n')
    })

    test('reaches what is outside the mesh, but not the loopback of its machine', async t => {
      const address = outsideAddress()
      await using outside = await served(address ?? '127.0.0.1')
      assert.equal((await caller.do(`curl -sS --max-time 20 http://127.0.0.1:${outside.port}/`)).code, 7, 'curl: connection refused')
      if (address === undefined) return t.skip('this machine has no address but loopback')
      assert.equal(await caller.says(`curl -sS --max-time 20 http://${address}:${outside.port}/`), 'outside')
      const closed = await freePort()
      assert.notEqual((await caller.do(`curl -sS --max-time 20 http://${address}:${closed}/`)).code, 0)
    })

    test('whose server speaks first is heard at once where its port is declared, and soon where not', async () => {
      mesh.run('mail', [process.execPath, fixture('greeter'), '2525'], { flags: ['--port', '2525/tcp'] })
      mesh.run('chat', [process.execPath, fixture('greeter'), '2525'], { flags: ['--port', '2525'] })
      await Promise.all([mesh.healthy('mail'), mesh.healthy('chat')])
      const ask = async (name: string) =>
        JSON.parse(await caller.says(`'${process.execPath}' '${fixture('greeted')}' ${name} 2525`)) as { least: number; said: string }
      const [declared, found] = [await ask('mail'), await ask('chat')]
      assert.deepEqual([declared.said, found.said], Array(2).fill('220 at your service\r\nlast word'))
      // Detection waits 60 ms for a caller to speak. Here nothing may wait.
      assert.ok(declared.least < 60, `${declared.least} ms, beside ${found.least} ms`)
    })

    test('is talked to over a WebSocket', async () => {
      assert.equal(await caller.says(`'${process.execPath}' '${fixture('talk')}' ws://one:8080/chat`), 'hello through the mesh\n')
    })

    test('takes and gives large bodies, with a length and in chunks', async () => {
      const bytes = Buffer.alloc(25_000_000, 'weft ')
      const file = join(folder, 'large')
      writeFileSync(file, bytes)
      const digest = createHash('sha256').update(bytes).digest('hex')
      const up = `curl -sS --max-time 60 -T ${file} http://one:8080/digest`
      assert.equal(await caller.says(`${up}; ${up} -H 'transfer-encoding: chunked'`), digest + digest)
      const down = `curl -sS --max-time 60 'http://one:8080/large?bytes=${bytes.length}' | sha256sum`
      assert.equal(await caller.says(down), `${digest}  -\n`)
    })

    test('with --publish has a plaintext door on this machine, which one workload can have', async () => {
      const running = mesh.run('door', app('door'), { flags: [...on8080, '--publish', '0:8080'], env: { WEFT_LOG: 'info' } })
      await mesh.healthy('door')
      const url = /published at (http:\/\/[^"\s]+)/.exec(running.stderr)![1]!
      assert.equal(await (await fetch(url)).text(), 'door\n')
      const mark = join(folder, 'ran')
      const second = await mesh.job('second', ['touch', mark], { flags: [...on8080, '--publish', `${new URL(url).port}:8080`] })
      refused(second, 1, new RegExp(`${new URL(url).port}.*in use`))
      assert.equal(existsSync(mark), false)
    })
  })

  describe('where nothing can be captured', { concurrency: true }, () => {
    const ask = 'curl -sS http://two:8080/; curl -sS --noproxy "*" "http://$TWO_SERVICE_HOST:$TWO_SERVICE_PORT/"'
    // A locked-down container: neither the capabilities nor a user namespace to get them from.
    const lockedDown = sh(
      'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin,-net_admin --inh-caps=-all -- "$@"',
    )
    const under = ['unshare', '--user', '--map-root-user', ...lockedDown, 'sh']

    test('a workload asks through HTTP_PROXY, or at the loopback address that its environment names', async () => {
      const { code, stdout, stderr } = await mesh.job('asks', sh(ask), { flags: ['--capture', 'proxy'] })
      assert.deepEqual([code, stdout, stderr], [0, 'two\ntwo\n', ''])
    })

    test('the addresses of services are called without the HTTP proxy', async () => {
      const { code, stdout } = await mesh.job('direct', sh('curl -sSv "http://$TWO_SERVICE_HOST:$TWO_SERVICE_PORT/" 2>&1'), {
        flags: ['--capture', 'proxy'],
      })
      assert.equal(code, 0)
      assert.doesNotMatch(stdout, /Uses proxy env variable http_proxy/i)
      assert.match(stdout, /\ntwo\n/)
    })

    test('redis-cli asks at the address that its environment names', { skip: hasRedis ? false : 'Redis is not installed' }, async () => {
      mesh.run('redis', ['redis-server', '--save', ''], { flags: ['--port', '6379'] })
      await mesh.healthy('redis')
      const ping = 'redis-cli -h "$REDIS_SERVICE_HOST" -p "$REDIS_SERVICE_PORT" ping'
      const { code, stdout } = await mesh.job('pings', sh(ping), { flags: ['--capture', 'proxy'] })
      assert.deepEqual([code, stdout], [0, 'PONG\n'])
    })

    test('a workload serves the mesh on a port of this machine', async () => {
      const port = await freePort()
      mesh.run('bare', app('bare', String(port)), { flags: ['--capture', 'proxy', '--port', String(port)] })
      await mesh.healthy('bare')
      assert.equal(await caller.says(`curl -sS http://bare:${port}/`), 'bare\n')
    })

    test('weft run says so in one sentence and goes on', async () => {
      const { code, stdout, stderr } = await mesh.job('poor', sh(ask), { under })
      assert.deepEqual([code, stdout], [0, 'two\ntwo\n'], stderr)
      assert.match(
        stderr,
        /^weft: the workload cannot be captured \([^\n]+\), so it gets HTTP_PROXY and a loopback address per service instead\.[^\n]*\n$/,
      )
    })

    test('--capture namespace is refused, with the reason', async () => {
      refused(await mesh.job('strict', ['true'], { under, flags: ['--capture', 'namespace'] }), 1, /cannot be captured: .+\. .+/)
    })
  })

  describe('what is wrong is said in one line', { concurrency: true }, () => {
    test('flags: every mistake', async () => {
      const { code, stdout, stderr } = await mesh.job('Not_A_Name', ['true'], { flags: ['--port', 'x', '--drain', 'soon'] })
      assert.deepEqual([code, stdout], [2, ''])
      assert.deepEqual(stderr.match(/--name|--port|--drain/g), ['--name', '--port', '--drain'], stderr)
      const unknown = await mesh.job('fine', ['true'], { flags: ['--prot', '8080'] })
      assert.equal(unknown.code, 2)
      assert.match(unknown.stderr, /--prot/)
    })

    test('no command', async () => refused(await mesh.weft('run', '--name', 'fine'), 2, /command to run is missing/))

    test('a token that is none', async () => {
      refused(await mesh.job('guest', ['true'], { flags: ['--token', 'abc'] }), 1, /token/)
    })

    test('a token that somebody changed', async () => {
      const { token } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'guest' })
      const [head, body, mac = ''] = token.split('.')
      const forged = [head, body, (mac.startsWith('A') ? 'B' : 'A') + mac.slice(1)].join('.')
      refused(await mesh.job('guest', ['true'], { flags: ['--token', forged] }), 1, /token/)
    })

    test('a token for another service', async () => {
      const { token } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'guest' })
      refused(await mesh.job('one', ['true'], { flags: ['--token', token] }), 1, /token is for spiffe:.*\/guest, not for the service "one"/)
    })

    test('a token whose time is over', async () => {
      const { stdout } = await mesh.weft('token', 'create', '--service-account', 'guest', '--ttl', '1s')
      await pause(1500)
      refused(await mesh.job('guest', ['true'], { flags: ['--token', stdout.trim()] }), 1, /token.*expired/)
    })

    test('a control plane that is not there', async () => {
      const { port, done } = alone
      const { code, stdout, stderr } = await done
      assert.deepEqual([code, stdout], [1, ''])
      const [waiting, failed, ...more] = stderr.trim().split('\n')
      assert.match(waiting!, new RegExp(`waiting up to 10 s for the control plane at http://127.0.0.1:${port}`))
      assert.match(failed!, new RegExp(`^weft: .*127\\.0\\.0\\.1:${port}`))
      assert.deepEqual(more, [])
    })

    test('a token that leads to a port where nobody answers', async () => {
      const { port, done } = astray
      const { code, stdout, stderr } = await done
      assert.deepEqual([code, stdout], [1, ''])
      const said = stderr.split('\n').filter(line => line.startsWith('weft: '))
      assert.equal(said.length, 1, stderr)
      assert.match(
        said[0]!,
        new RegExp(`^weft: the control plane at 127\\.0\\.0\\.1:${port} does not answer .*within 10 s.*; is "weft control" running`),
      )
    })
  })

  describe('when something is killed', () => {
    test('a proxy takes its workload with it, and callers do not notice', async () => {
      const pair = [1, 2].map(n => mesh.run('pair', app(`pair ${n}`, '8080'), { flags: on8080 }))
      await mesh.healthy('pair', 2)
      const fifty = 'curl -sS -w "%{http_code}\\n" --max-time 20 "http://pair:8080/?[1-50]" | sort | uniq -c'
      assert.match(await caller.says(fifty), /^ +50 200\n +\d+ pair 1\n +\d+ pair 2\n$/)
      const program = childOf(pair[0]!.child.pid!)
      pair[0]!.child.kill('SIGKILL')
      assert.match(await caller.says(fifty), /^ +50 200\n +50 pair 2\n$/)
      await mesh.until('the end of the program', () => !isRunning(program))
    })

    test('the control plane is not needed for traffic, nor for a restart, and is found again when it is back', async () => {
      const again = () => mesh.job('again', ['curl', '-sS', '--max-time', '20', 'http://one:8080/'])
      const published = await freePort()
      const keeper = () => mesh.run('keeper', app('keeper'), { flags: [...on8080, '--publish', `${published}:8080`] })
      const first = keeper()
      await mesh.healthy('keeper')
      assert.equal((await again()).stdout, 'one\n')
      const synced = async () =>
        (await mesh.client.proxies())
          .filter(({ state, namespace }) => state === 'synced' && namespace === 'default')
          .map(({ workload }) => workload)
      const before = (await synced()).filter(workload => /^(one|two|three|caller)-/.test(workload)).sort()
      assert.equal(before.length, 4)

      const load = caller.do(
        'for n in $(seq 150); do curl -sS -o /dev/null -w "%{http_code}\\n" --max-time 20 http://one:8080/; sleep 0.02; done | sort | uniq -c',
      )
      await mesh.control.stop('SIGKILL')
      await first.stop()
      const down = await mesh.weft('status')
      assert.notEqual(down.code, 0)
      assert.match(down.stdout + down.stderr, /does not answer|down|refused/i)

      keeper()
      const { code, stdout, stderr } = await again()
      assert.deepEqual([code, stdout], [0, 'one\n'], stderr)
      assert.match(stderr, /joining with what is known from last time/)
      await mesh.until('the restarted server', async () => {
        const answer = await fetch(`http://127.0.0.1:${published}/`).catch(() => undefined)
        return (await answer?.text()) === 'keeper\n'
      })

      await mesh.startControl()
      await mesh.until('all proxies in sync', async () => {
        const now = await synced()
        return before.every(workload => now.includes(workload)) && now.some(workload => workload.startsWith('keeper-'))
      })
      assert.equal((await load).output.trim(), '150 200')
      await mesh.healthy('keeper')
      assert.equal(await caller.says('curl -sS --max-time 20 http://keeper:8080/'), 'keeper\n')
      const status = await mesh.weft('status')
      for (const workload of before) assert.match(status.stdout, new RegExp(`${workload}.*synced`), status.stdout)
    })
  })
})

/** One line for people on stderr, nothing on stdout. */
function refused({ code, stdout, stderr }: Done, expected: number, says: RegExp): void {
  assert.match(stderr, says)
  assert.deepEqual([code, stdout, stderr.trimEnd().split('\n').length], [expected, '', 1], stderr)
  assert.match(stderr, /^weft: /)
}
