/** What came of one health check. */

/** failed: reason in one word: a failure code, `status`, `not-serving`, `unexpected-bytes` or `closed`; detail for people. unknown: this proxy could not ask. */
export type Verdict = { readonly is: 'passed' | 'unknown' } | { readonly is: 'failed'; readonly reason: string; readonly detail: string }

export const failed = (reason: string, detail: string): Verdict => ({ is: 'failed', reason, detail })
