import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Edge } from '../edge.ts'
import { openSession } from '../session.ts'
import { buildProgram } from '../tree.ts'
import { candidates, type Names } from './candidates.ts'
import { bashScript, fishScript, placesOf, zshScript } from './scripts.ts'

const edge = { env: {}, isTTY: false, columns: 100, version: '1', configFolder: '', cwd: '' } as unknown as Edge
const program = buildProgram(openSession(edge, new AbortController().signal), () => {})
const names: Names = {
  kinds: async () => ['services', 'httproutes'],
  objects: async (kind, namespace) => [`${kind}-one`, `${kind}-${namespace ?? 'none'}`],
  namespaces: async () => ['default', 'shop'],
  proxies: async () => ['orders', 'orders-abc.shop'],
  contexts: async () => ['laptop', 'lab'],
}
const complete = async (line: string): Promise<readonly string[]> => {
  const { words, files } = await candidates(program, line.split(' '), names)
  return files ? [...words, ':files'] : words
}

for (const [line, expected] of [
  ['st', ['status']],
  ['proxy ', ['restart', 'list', 'connections', 'config', 'endpoints', 'routes']],
  ['proxy config or', ['orders', 'orders-abc.shop']],
  ['get h', ['httproutes']],
  ['get svc ', ['svc-one', 'svc-none']],
  ['get -n shop svc svc-one ', ['svc-shop']],
  ['get svc/', ['svc/svc-one', 'svc/svc-none']],
  ['get svc -o n', ['name']],
  ['get svc -n s', ['shop']],
  ['get svc --all', ['--all-namespaces']],
  ['apply -f ', [':files']],
  ['context use l', ['laptop', 'lab']],
  ['context use laptop ', []],
  ['run --capture ', ['auto', 'namespace', 'proxy']],
  ['run --name a -- ', [':files']],
  ['__c', []],
] as const)
  test(`weft ${line}⇥ offers ${expected.join(' ') || 'nothing'}`, async () => assert.deepEqual(await complete(line), expected))

test('the scripts hold every command and flag of the tree', () => {
  for (const script of [bashScript(program), zshScript(program)])
    for (const { path, commands, flags } of placesOf(program)) {
      assert.ok(commands.length === 0 || script.includes(`"${path}") echo "${commands.join(' ')}"`), path)
      assert.ok(script.includes(`"${path}") echo "${flags.join(' ')}"`), path)
    }
  assert.match(fishScript(program), /complete -c weft -n '__weft_at "proxy"' -a 'restart list connections config endpoints routes'/)
})

type Shell = { readonly name: string; readonly script: string; readonly body: (words: readonly string[]) => string }

/** What the shell would offer for these words; a `weft` that is asked for names answers with what it was asked. */
const shells: readonly Shell[] = [
  {
    name: 'bash',
    script: bashScript(program),
    body: words => `COMP_WORDS=(${words.map(quoted).join(' ')}); COMP_CWORD=${words.length - 1}; _weft; printf '%s\n' "\${COMPREPLY[@]}"`,
  },
  {
    name: 'zsh',
    script: zshScript(program),
    // compadd does the matching in a real shell
    body: words =>
      `compadd() { shift; for w in "$@"; do [[ "$w" == "\${words[CURRENT]}"* || "$w" == asked:* ]] && print -r -- "$w"; done }; words=(${words.map(quoted).join(' ')}); CURRENT=${words.length}; _weft`,
  },
  { name: 'fish', script: fishScript(program), body: words => `complete -C ${quoted(words.join(' '))} | string replace -r '\\t.*' ''` },
]
const quoted = (word: string): string => `'${word}'`
const stub: Readonly<Record<string, string>> = {
  bash: `weft() { printf 'asked:%s\n' "$*"; }`,
  zsh: `compdef() { :; }; weft() { print -r -- "asked:$*"; }`,
  fish: 'function weft; echo "asked:$argv"; end',
}

for (const { name, script, body } of shells)
  test(`in ${name}, subcommands and flags come without starting weft, names by asking it`, t => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-completion-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'script')
    writeFileSync(file, script)
    const ask = (...words: string[]): string[] => {
      const environment = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder }
      const said = execFileSync(name, ['-c', `${stub[name]}\nsource ${file}\n${body(words)}\ntrue`], { encoding: 'utf8', env: environment })
      return said.trim().split('\n').sort()
    }
    try {
      execFileSync(name, ['-c', 'true'])
    } catch {
      return t.skip(`${name} is not installed`)
    }
    assert.deepEqual(ask('weft', 'proxy', ''), ['config', 'connections', 'endpoints', 'list', 'restart', 'routes'])
    assert.deepEqual(ask('weft', 'stat'), ['status'])
    assert.deepEqual(ask('weft', 'get', 'svc', '--all'), ['--all-namespaces'])
    const asked = ask('weft', 'get', 'svc', '')
    assert.match(asked.join(), /asked:__complete -- get svc/)
  })
