import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tellProblem } from '#base/note'
import { limits } from '#base/yaml'
import { readDocuments } from './read.ts'
import { readYaml } from './yaml.ts'

const map = (keys: number): string => Array.from({ length: keys }, (_, at) => `k${at}: v\n`).join('')

/** Milliseconds of processor time, so that others on the machine do not count. */
function cost(run: () => unknown): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test('ten times as many keys take about ten times as long, not a hundred times', () => {
  for (const read of [readYaml, (text: string) => readDocuments(text, 'in.yaml')]) {
    read(map(5000)) // what is compiled once
    const [few, many] = [cost(() => read(map(5000))), cost(() => read(map(50_000)))]
    assert.ok(many < 45 * few, `${few} ms for 5,000 keys and ${many} ms for 50,000`)
  }
})

test('of ten thousands of mistakes in one document the first hundred are told, and how many there are besides', () => {
  const text = `apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec:\n${map(40_000).replace(/^k/gm, '  k')}`
  let problems: readonly string[] = []
  const ms = cost(() => (problems = readDocuments(text, 'in.yaml').problems.map(tellProblem)))
  assert.deepEqual([problems.length, problems[0]?.split(': ')[0]], [101, 'in.yaml:5:3'])
  assert.match(problems.at(-1)!, /^in\.yaml:105:3: .*spec\.k100: from here on, 39900 more mistakes$/)
  assert.ok(ms < 8000, `${ms} ms`)
})

test('a key written twice is found at its second place, at every level, in every form of map', () => {
  const cases: readonly (readonly [text: string, places: readonly string[]])[] = [
    ['a: 1\nb: 2\na: 3\n', ['3:1']],
    ['a:\n  b: 1\n  "b": 2\n', ['3:3']],
    ['{a: 1, a: 2}\n', ['1:8']],
    ['- x: 1\n  x: 2\n- x: 3\n', ['2:3']],
    ['a: {b: [{c: 1, c: 2}]}\na: 1\n', ['1:16', '2:1']],
    ['? {k: 1, k: 2}\n: 1\n', ['1:10']],
    ['a: 1\na: 2\na: 3\n', ['2:1', '3:1']],
    ['a: 1\n&x a: 2\n', ['2:4']],
    ['[a: 1, a: 2]\n', []],
    ['1: a\n"1": b\n', []],
  ]
  for (const [text, places] of cases) {
    const twice = readDocuments(text, 'in.yaml')
      .problems.map(tellProblem)
      .filter(says => says.includes('the field is written twice: remove one'))
    assert.deepEqual(
      twice.map(says => says.split(':').slice(1, 3).join(':')),
      places,
      text,
    )
    const [first] = places
    if (first === undefined) assert.doesNotThrow(() => readYaml(text), text)
    else
      assert.throws(() => readYaml(text), { message: `not valid YAML at line ${first.replace(':', ', column ')}: Map keys must be unique` })
  }
})

test('a body of too many parts, or of aliases, is refused before it is read; one long text is not', () => {
  for (const text of ['- \n'.repeat(limits.maxParts), '#\n'.repeat(limits.maxParts), `[${'[],'.repeat(limits.maxParts / 2)}]`])
    assert.throws(() => readYaml(text), /it has more than 300000 keys, values, marks and lines: split it \(or send JSON\)/)
  assert.throws(() => readYaml(`a: &a []\nb:\n${'- *a\n'.repeat(1001)}`), /more than 1000 aliases: write the repeated parts out/)
  const long = '- *a: [b]\n'.repeat(limits.maxParts)
  assert.deepEqual(readYaml(`a: |\n  ${long.replaceAll('\n', '\n  ')}\n`), { a: long })
})
