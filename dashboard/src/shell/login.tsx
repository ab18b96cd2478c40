/** The login page: a token is pasted, or the OpenID provider says who it is. */

import { Alert, Button, Divider, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core'
import { IconKey, IconLogin2 } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useState } from 'react'
import { control } from '../api/queries.ts'
import type { Login } from '../api/login.ts'
import { Logo } from './logo.tsx'
import css from './login.module.css'

/** What the way back from the provider says, behind `#/login?error=`. */
const saidOnTheWay = (): string | undefined => new URLSearchParams(location.hash.split('?')[1] ?? '').get('error') ?? undefined

export function LoginPage({ login }: { login: Login }): ReactNode {
  const [token, setToken] = useState('')
  const client = useQueryClient()
  const enter = useMutation({
    mutationFn: () => control.logIn(token.trim()),
    onSuccess: () => {
      setToken('')
      if (location.hash.startsWith('#/login')) location.hash = '#/'
      void client.invalidateQueries()
    },
  })
  const says = enter.error?.message ?? saidOnTheWay()
  return (
    <main className={css['page']} data-testid="login">
      <Paper className={css['card'] ?? ''} withBorder radius="lg" p="xl">
        <Stack gap="md">
          <div className={css['brand']}>
            <Logo />
            <Title order={1}>Log in to Weft</Title>
          </div>
          {says !== undefined && (
            <Alert color="red" variant="light" title="That did not work" data-testid="login-error">
              {says}
            </Alert>
          )}
          {login.oidc && (
            <>
              <Button component="a" href="./weft/v1/login/oidc" leftSection={<IconLogin2 size={17} />} data-testid="login-oidc">
                Go on with {login.oidc.name}
              </Button>
              <Divider label="or" labelPosition="center" />
            </>
          )}
          <form
            onSubmit={event => {
              event.preventDefault()
              enter.mutate()
            }}
          >
            <Stack gap="sm">
              <PasswordInput
                label="Token"
                placeholder="weft_…"
                value={token}
                onChange={event => setToken(event.currentTarget.value)}
                leftSection={<IconKey size={16} />}
                autoComplete="off"
                data-autofocus
                data-testid="login-token"
              />
              <Button
                type="submit"
                variant={login.oidc ? 'default' : 'filled'}
                disabled={token.trim() === ''}
                loading={enter.isPending}
                data-testid="login-enter"
              >
                Log in with a token
              </Button>
            </Stack>
          </form>
          <Text size="xs" c="dimmed">
            An admin makes tokens with <code>weft user create NAME --role viewer</code>. The token itself is not kept in the browser: a
            session of half a day is.
          </Text>
        </Stack>
      </Paper>
    </main>
  )
}
