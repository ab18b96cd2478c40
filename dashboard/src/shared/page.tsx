/** The frame of a page with a heading: title, what stands beside it, and sections; name is for the window. */

import { useDocumentTitle } from '@mantine/hooks'
import type { ReactNode } from 'react'
import css from './page.module.css'

type PageProps = {
  readonly name: string
  readonly title: ReactNode
  readonly before?: ReactNode
  readonly aside?: ReactNode
  readonly children: ReactNode
}

export function Page({ name, title, before, aside, children }: PageProps): ReactNode {
  useDocumentTitle(`${name} · Weft`)
  return (
    <div className={css['page']}>
      <header className={css['head']}>
        <div>
          {before && <div className={css['before']}>{before}</div>}
          <h1>{title}</h1>
        </div>
        {aside && <div className={css['aside']}>{aside}</div>}
      </header>
      {children}
    </div>
  )
}

export const Section = ({
  title,
  aside,
  children,
  testid,
}: {
  title: ReactNode
  aside?: ReactNode
  children: ReactNode
  testid?: string
}): ReactNode => (
  <section className={css['section']} data-testid={testid}>
    <header>
      <h2>{title}</h2>
      {aside}
    </header>
    {children}
  </section>
)

/** Facts in a row: name above, value below. */
export const Facts = ({ facts }: { facts: readonly (readonly [string, ReactNode])[] }): ReactNode => (
  <dl
    className={css['facts']}
    style={{ gridTemplateColumns: `repeat(${facts.length > 6 ? Math.ceil(facts.length / 2) : facts.length}, minmax(0, 1fr))` }}
  >
    {facts.map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)
