/** A link to an address of the dashboard that is only known as text. */

import { useRouter } from '@tanstack/react-router'
import type { ReactNode } from 'react'

export function HashLink({
  to,
  className,
  children,
  testid,
}: {
  to: string
  className?: string
  children: ReactNode
  testid?: string
}): ReactNode {
  const router = useRouter()
  return (
    <a href={router.history.createHref(to)} className={className} data-testid={testid}>
      {children}
    </a>
  )
}
