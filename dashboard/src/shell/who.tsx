/** Who is logged in, what they may do, and the way out. */

import { ActionIcon, Tooltip } from '@mantine/core'
import { IconLogout, IconUser } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { tellGrant } from '../../../src/api/rights.ts'
import { useLogin } from '../api/login.ts'
import { control } from '../api/queries.ts'
import css from './who.module.css'

export function Who(): ReactNode {
  const { data } = useLogin()
  const client = useQueryClient()
  if (data?.user === undefined || data.user.how === '') return null
  const { name, how, grants } = data.user
  const roles = grants.length === 0 ? 'no role' : grants.map(tellGrant).join(', ')
  const leave = async (): Promise<void> => {
    await control.logOut()
    client.clear()
    location.reload()
  }
  return (
    <div className={css['who']} data-testid="who">
      <Tooltip label={`${name} by ${how}: ${roles}`}>
        <span className={css['name']}>
          <IconUser size={15} aria-hidden />
          <span className={css['text']}>
            <b>{name}</b>
            <span>{roles}</span>
          </span>
        </span>
      </Tooltip>
      <Tooltip label="Log out">
        <ActionIcon variant="subtle" color="gray" onClick={() => void leave()} aria-label="Log out" data-testid="logout">
          <IconLogout size={16} />
        </ActionIcon>
      </Tooltip>
    </div>
  )
}
