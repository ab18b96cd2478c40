/** What the pages show is true: each document in them can be applied as it stands, and those of the guide are in the examples, which test/e2e/examples.test.ts applies. */

import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { tellProblem } from '#base/note'
import { readDocuments } from '#resources/read'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = ['README.md', ...globSync('docs/**/*.md', { cwd: root }).sort()]
const examples = readdirSync(join(root, 'examples')).filter(name => name.endsWith('.yaml'))

type Block = { readonly place: string; readonly page: string; readonly text: string }

/** The whole documents; parts of documents, and other files of YAML, are shown too. */
const documents = pages.flatMap(page => {
  const found: Block[] = []
  const lines = read(page).split('\n')
  let begun: number | undefined
  for (const [at, line] of lines.entries()) {
    if (begun === undefined && /^```ya?ml\s*$/.test(line)) begun = at + 1
    else if (begun !== undefined && line.startsWith('```')) {
      found.push({ place: `${page}:${begun + 1}`, page, text: lines.slice(begun, at).join('\n') })
      begun = undefined
    }
  }
  return found.filter(({ text }) => /^apiVersion: /m.test(text))
})

test('each document in a page can be applied as it stands', () => {
  const wrong = documents.flatMap(({ place, text }) => readDocuments(text, `the block at ${place}`).problems.map(tellProblem))
  assert.deepEqual(wrong, [])
  assert.ok(documents.length > 10, `only ${documents.length} documents were found`)
})

test('each document that the guide shows is one of an example', () => {
  const texts = examples.map(name => read(`examples/${name}`))
  const alone = documents.filter(
    ({ page, text }) => page.startsWith('docs/guide/') && !texts.some(example => example.includes(text.trim())),
  )
  assert.deepEqual(
    alone.map(({ place }) => place),
    [],
  )
})

test('a page of the guide speaks of each example', () => {
  const guide = pages.map(read).join('\n')
  for (const name of examples) assert.ok(guide.includes(`examples/${name}`), `no page speaks of examples/${name}`)
})
