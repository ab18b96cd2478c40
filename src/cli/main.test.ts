import { test, type TestContext } from 'node:test'
import type { Command } from 'commander'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import type { Edge } from './edge.ts'
import { main } from './main.ts'
import { openSession } from './session.ts'
import { buildProgram } from './tree.ts'
import type { RunOptions } from './options.ts'

type Ran = { readonly code: number; readonly out: string; readonly err: string }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function edgeOf(folder: string, said = { out: '', err: '' }): Edge {
  const into = (key: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        said[key] += String(chunk)
        done()
      },
    })
  const never = async (): Promise<number> => assert.fail('not to be called')
  return {
    env: {},
    stdin: Readable.from([]),
    stdout: into('out'),
    stderr: into('err'),
    isTTY: false,
    columns: 100,
    cwd: folder,
    configFolder: join(folder, 'config'),
    version: '1.2.3',
    run: never,
    cleanCapture: never,
    node: never,
    gateway: never,
    control: never,
    envoy: never,
    proxy: never,
    demo: never,
  }
}

async function weft(folder: string, argv: readonly string[], given: Partial<Edge> = {}): Promise<Ran> {
  const said = { out: '', err: '' }
  const code = await main(argv, { ...edgeOf(folder, said), ...given })
  return { code, ...said }
}

/** A port where nothing listens. */
const closedPort = (): Promise<number> =>
  new Promise(done => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => done(port))
    })
  })

test('run hands its options to the program and ends with its exit code', async t => {
  const folder = folderOf(t)
  let given: RunOptions | undefined
  const run = async (options: RunOptions): Promise<number> => {
    given = options
    return 7
  }
  const { code, err } = await weft(
    folder,
    ['run', '--name', 'orders', '--port', 'http:8080/http', '--port', '9090', '--', 'node', 'server.js', '--port', '1', '--help'],
    { run },
  )
  assert.equal(err, '')
  assert.equal(code, 7)
  assert.deepEqual(given!.command, ['node', 'server.js', '--port', '1', '--help'])
  assert.deepEqual(
    given!.ports.map(({ port }) => port),
    [8080, 9090],
  )
  assert.match(given!.workload, /^orders-[a-z0-9]{6}$/)
})

test('a command may follow without the two dashes', async t => {
  let given: RunOptions | undefined
  await weft(folderOf(t), ['run', '--name', 'orders', 'curl', '-s', 'http://x'], { run: async options => ((given = options), 0) })
  assert.deepEqual(given!.command, ['curl', '-s', 'http://x'])
})

for (const [argv, says] of [
  [['gett'], /unknown command 'gett'[\s\S]*Did you mean get\?/],
  [['get', 'svc', '--bogus'], /unknown option '--bogus'/],
  [['get'], /missing required argument 'kind'/],
  [['get', 'svc', '-o', 'xml'], /Allowed choices are table, wide, yaml, json, name/],
  [['apply'], /-f is missing/],
  [['run', '--name', 'A'], /--name "A"[\s\S]*the command to run is missing/],
  [['get', 'svc', '--control', 'foo://x'], /"foo:\/\/x" is not the URL of a control plane/],
] as const)
  test(`weft ${argv.join(' ')} is a usage error with exit code 2`, async t => {
    const { code, out, err } = await weft(folderOf(t), argv)
    assert.equal(code, 2)
    assert.equal(out, '')
    assert.match(err, says)
    assert.doesNotMatch(err, /\n +at /)
  })

for (const [line, says] of [
  ['control --port 1', /unknown option '--port'\n\(Did you mean one of --(api|xds|bundle)-port, --\S+-port, --\S+-port\?\)/],
  ['control --api-prt 1', /\(Did you mean --api-port\?\)/],
  ['control --plaintext', /\(Did you mean --insecure-plaintext-api\?\)/],
  ['token create --account web', /\(Did you mean --service-account\?\)/],
  ['apply --filename x.yaml', /\(Did you mean one of --file, --token-file\?\)/],
  ['get svc --tokn-file x', /\(Did you mean --token-file\?\)/],
  ['--namespace shop get svc', /\(--namespace goes behind the command that takes it, such as weft run\)/],
  ['cert --serial 4f revoke', /\(--serial goes behind the command that takes it, such as weft cert revoke\)/],
] as const)
  test(`weft ${line} says what may have been meant`, async t => {
    const { code, err } = await weft(folderOf(t), line.split(' '))
    assert.equal(code, 2)
    assert.match(err, says)
  })

test('at every command, a flag of which a letter is missing, or a word alone, leads to the flag', async t => {
  const folder = folderOf(t)
  const program = buildProgram(openSession(edgeOf(folder), new AbortController().signal), () => {})
  const commands = (of: Command): readonly (readonly [line: readonly string[], command: Command])[] =>
    of.commands.flatMap(each => [
      [[each.name()], each] as const,
      ...commands(each).map(([line, command]) => [[each.name(), ...line], command] as const),
    ])
  let tried = 0
  for (const [line, command] of commands(program)) {
    const needed = command.options.flatMap(({ mandatory, long }) => (mandatory ? [long!, 'x'] : []))
    const flags = command.options.flatMap(({ long }) => (long == null ? [] : [long]))
    for (const flag of flags) {
      const words = flag.slice(2).split('-')
      const typed = [
        `--${flag.slice(2, 4)}${flag.slice(5)}`,
        ...(words.length > 1 ? words.filter(word => word.length > 3).map(word => `--${word}`) : []),
      ]
      for (const each of typed) {
        if (each.length < 6 || flags.includes(each)) continue
        const { code, err } = await weft(folder, [...line, ...needed, each])
        const told = `${line.join(' ')} ${each}: ${err}`
        // Others that are as near may be proposed instead: something must be.
        assert.match(err, /\(Did you mean .*--[a-z]/, told)
        assert.equal(code, 2, told)
        tried++
      }
    }
  }
  assert.ok(tried > 300, String(tried))
})

test('every command has a description and examples in its help', async t => {
  const folder = folderOf(t)
  const { out, code } = await weft(folder, ['--help'])
  assert.equal(code, 0)
  const commands = ['demo', 'control', 'run', 'apply', 'get', 'describe', 'delete', 'diff', 'status', 'topology', 'check', 'version']
  for (const command of commands) assert.match(out, new RegExp(`^  ${command} `, 'm'))
  const nested = [
    'proxy list',
    'proxy config',
    'proxy endpoints',
    'proxy routes',
    'token create',
    'context list',
    'context use',
    'context set',
    'context show',
    'context delete',
    'completion bash',
    'completion zsh',
    'completion fish',
  ]
  for (const command of [...commands, ...nested])
    assert.match((await weft(folder, [...command.split(' '), '--help'])).out, /Examples:\n {2}\S/, command)
})

test('no colours in a pipe; at a terminal yes, unless NO_COLOR is set', async t => {
  const folder = folderOf(t)
  assert.doesNotMatch((await weft(folder, ['--help'])).out, /\u001b/)
  assert.match((await weft(folder, ['--help'], { isTTY: true })).out, /\u001b\[/)
  assert.doesNotMatch((await weft(folder, ['--help'], { isTTY: true, env: { NO_COLOR: '1' } })).out, /\u001b/)
})

test('a control plane that is down: one message that says where it was looked for and who said so', async t => {
  const folder = folderOf(t)
  const url = `http://127.0.0.1:${await closedPort()}`
  const named = await weft(folder, ['get', 'services', '--control', url])
  assert.equal(named.code, 1)
  assert.match(named.err, new RegExp(`control plane at ${url} \\(from --control\\) does not answer: connection refused`))
  const inEnv = await weft(folder, ['status'], { env: { WEFT_CONTROL: url } })
  assert.equal(inEnv.code, 1)
  assert.match(inEnv.out, /\(from WEFT_CONTROL\).*connection refused[\s\S]*never seen it up/)
  assert.doesNotMatch(named.err + inEnv.out, /\n +at /)
})

test('the control plane is found by flag, then environment, then context, then the default', async t => {
  const folder = folderOf(t)
  const show = async (argv: readonly string[] = [], env = {}): Promise<string> =>
    (await weft(folder, ['context', 'show', ...argv], { env })).out.trim()
  assert.equal(await show(), 'http://127.0.0.1:7070 (from the default), namespace default')
  assert.equal((await weft(folder, ['context', 'set', 'far', '--control', 'mesh.example:7070', '-n', 'shop'])).code, 0)
  assert.equal(await show(), 'http://mesh.example:7070 (from the context "far"), namespace shop')
  assert.match(await show([], { WEFT_CONTROL: 'http://a:1/' }), /^http:\/\/a:1 \(from WEFT_CONTROL\)/)
  assert.match(await show(['--control', 'http://b:2'], { WEFT_CONTROL: 'http://a:1' }), /^http:\/\/b:2 \(from --control\)/)
})

test('contexts are added, chosen, listed and forgotten', async t => {
  const folder = folderOf(t)
  await weft(folder, ['context', 'set', 'one', '--control', 'http://one:1'])
  await weft(folder, ['context', 'set', 'two', '--control', 'http://two:2'])
  assert.match((await weft(folder, ['context', 'list'])).out, /\* +one +http:\/\/one:1 +default\n- +two/)
  assert.match((await weft(folder, ['context', 'use', 'tow'])).err, /there is no context "tow"; did you mean "two"\?/)
  assert.equal((await weft(folder, ['context', 'use', 'two'])).code, 0)
  assert.equal((await weft(folder, ['context', 'delete', 'two'])).code, 0)
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'config/contexts.json'), 'utf8')), {
    contexts: { one: { control: 'http://one:1' } },
  })
})

test('a broken contexts file is named, with what to do, and left as it is', async t => {
  const folder = folderOf(t)
  await weft(folder, ['context', 'set', 'one', '--control', 'http://one:1'])
  writeFileSync(join(folder, 'config/contexts.json'), '{ "contexts": ')
  const { code, err } = await weft(folder, ['context', 'set', 'two', '--control', 'http://two:2'])
  assert.equal(code, 1)
  assert.match(err, /contexts\.json: not valid JSON .* mend it, or remove it/)
  assert.equal(readFileSync(join(folder, 'config/contexts.json'), 'utf8'), '{ "contexts": ')
})

test('a reader that goes away ends the command quietly', async t => {
  const stdout = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) })
  const { code, err } = await weft(folderOf(t), ['completion', 'bash'], { stdout })
  assert.equal(code, 0)
  assert.equal(err, '')
})

test('a bug is one line, and its stack only when asked for', async t => {
  const folder = folderOf(t)
  const control = async (): Promise<number> => {
    throw new TypeError('x is not a function')
  }
  const quiet = await weft(folder, ['control'], { control })
  assert.equal(quiet.code, 1)
  assert.match(quiet.err, /^weft: x is not a function\nweft: this is a bug/)
  assert.match((await weft(folder, ['control'], { control, env: { WEFT_DEBUG: '1' } })).err, /\n +at /)
})

test('documents are checked before a control plane is looked for, every mistake of every file together', async t => {
  const folder = folderOf(t)
  writeFileSync(
    join(folder, 'a.yaml'),
    'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { selektor: {}, ports: [{ port: "x" }] }\n',
  )
  writeFileSync(join(folder, 'b.yaml'), 'kind: [\n')
  const stdin = new PassThrough()
  stdin.end('apiVersion: v1\nkind: Servce\nmetadata: { name: c }\n')
  const { code, err } = await weft(
    folder,
    ['apply', '-f', 'a.yaml', '-f', 'b.yaml', '-f', 'missing.yaml', '-f', '-', '-f', 'https://x/y.yaml'],
    { stdin },
  )
  assert.equal(code, 1)
  for (const part of [
    /^a\.yaml:4:9: .*spec\.selektor: unknown field/m,
    /^a\.yaml:4:\d+: .*spec\.ports\[0\]\.port/m,
    /^b\.yaml:\d+:\d+: not valid YAML/m,
    /missing\.yaml.*does not exist/,
    /^-:2:7: .*Servce.*did you mean "Service"/m,
    /https:\/\/x\/y\.yaml: is a URL/,
  ])
    assert.match(err, part)
  assert.match(err, /weft: 6 problems; nothing was applied\n$/)
})

test('a resource in two files is a mistake', async t => {
  const folder = folderOf(t)
  for (const name of ['a.yaml', 'b.yaml']) writeFileSync(join(folder, name), 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n')
  const { code, err } = await weft(folder, ['apply', '-f', folder])
  assert.equal(code, 1)
  assert.match(err, /b\.yaml:3:\d+: Namespace shop: metadata\.name: is already defined at .*a\.yaml:3:\d+/)
})

test('an empty folder is told, with the flag that looks deeper', async t => {
  const { code, err } = await weft(folderOf(t), ['apply', '-f', '.'])
  assert.equal(code, 1)
  assert.match(err, /holds no \.yaml, \.yml or \.json file; -R looks into/)
})
