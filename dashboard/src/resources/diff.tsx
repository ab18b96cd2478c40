/** What a change would do to a resource, line by line, before it is done. */

import type { ReactNode } from 'react'
import { compareLines, nearChanges } from './lines.ts'
import css from './page.module.css'

const signs = { same: ' ', removed: '−', added: '+' } as const

export function Diff({ before, after }: { before: string; after: string }): ReactNode {
  return (
    <div className={css['diff']} role="region" aria-label="Changes" tabIndex={0} data-testid="diff">
      {nearChanges(compareLines(before, after)).map((line, index) =>
        line === undefined ? (
          <div key={index} data-kind="gap">
            ⋯
          </div>
        ) : (
          <div key={index} data-kind={line.kind}>
            {signs[line.kind]} {line.text}
          </div>
        ),
      )}
    </div>
  )
}
