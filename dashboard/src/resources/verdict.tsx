/** What the control plane thinks of a text while it is typed, and why it refused when it was asked in earnest. */

import { Alert, Loader } from '@mantine/core'
import { IconAlertTriangle, IconCircleCheck } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Draft } from './draft.ts'
import css from './page.module.css'

export function Verdict({ draft }: { draft: Draft }): ReactNode {
  if (draft.verdict === 'checking') {
    return (
      <>
        <Loader size={14} /> <span className="soft">Asking the control plane whether this would be accepted…</span>
      </>
    )
  }
  if (draft.verdict === 'valid') {
    return (
      <span data-testid="valid">
        <IconCircleCheck size={16} className="ok" style={{ verticalAlign: -3 }} /> The control plane would accept this.
      </span>
    )
  }
  return (
    <span className={draft.verdict === 'invalid' ? 'bad' : 'warn'} data-testid="invalid">
      <IconAlertTriangle size={16} style={{ verticalAlign: -3 }} />{' '}
      {draft.marks.length > 1
        ? `${draft.marks.length} problems`
        : draft.verdict === 'unknown'
          ? 'This could not be checked'
          : 'This would be refused'}
    </span>
  )
}

/** The same sentences as in the gutter, for those who do not see gutters. */
export const Problems = ({ draft }: { draft: Draft }): ReactNode =>
  draft.verdict === 'valid' || draft.verdict === 'checking' ? null : (
    <ul className={css['problems']} data-testid="problems" aria-live="polite">
      {draft.marks.length > 0 ? (
        draft.marks.map(mark => (
          <li key={`${mark.from} ${mark.says}`}>
            <b>line {mark.line}</b> {mark.path && <span className="mono">{mark.path}: </span>}
            {mark.says}
          </li>
        ))
      ) : (
        <li>{draft.says}</li>
      )}
    </ul>
  )

export const ApplyError = ({ error }: { error: Error }): ReactNode => (
  <Alert color="red" variant="light" mt="md" title="It was not applied" data-testid="apply-error">
    {error.message}
  </Alert>
)
