/** Results of expectations as JUnit XML, which CI servers show. */

import type { Expectation } from '#resources/policy-test'
import type { Outcome } from '../world/outcome.ts'

/** at: `FILE:LINE`. wrong: absent where it is as expected. */
export type Tested = {
  readonly name: string
  readonly at: string
  readonly expected: Expectation
  readonly got?: Outcome
  readonly wrong?: string
}

export function junitOf(results: readonly Tested[]): string {
  const failures = results.filter(({ wrong }) => wrong !== undefined).length
  const cases = results.map(({ name, at, wrong }) => {
    const head = `    <testcase name="${escaped(name)}" classname="${escaped(at.replace(/:\d+$/, ''))}"`
    return wrong === undefined ? `${head}/>` : `${head}>\n      <failure message="${escaped(`${at}: ${wrong}`)}"/>\n    </testcase>`
  })
  const counts = `tests="${results.length}" failures="${failures}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="weft policy test" ${counts}>`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, char => named[char]!).replaceAll(/[\u0000-\u001f\u007f]/g, ' ')
