package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestRequestsLoadTheModelTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		e := newEngine(Options{Load: func(context.Context) (*model.Model, error) {
			loads.Add(1)
			time.Sleep(time.Minute)
			return &model.Model{}, errors.New("no memory")
		}})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				_, _, _, err := e.use(t.Context())
				require.EqualError(t, err, "no memory")
				require.Equal(t, http.StatusServiceUnavailable, explain(err).Status)
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		group.Go(func() {
			_, _, _, err := e.use(ctx)
			require.ErrorIs(t, err, context.Canceled, "who has gone need not wait")
		})
		synctest.Wait()
		require.True(t, e.state().loading)
		cancel()
		group.Wait()
		require.EqualValues(t, 1, loads.Load())
		_, _, _, err := e.use(t.Context())
		require.EqualError(t, err, "no memory")
		require.EqualValues(t, 2, loads.Load(), "it is tried again")
		require.NoError(t, e.close())
		_, _, _, err = e.use(t.Context())
		require.ErrorIs(t, err, model.ErrClosed)
	})
}

func TestClosedEngineGoesOnLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(Options{Load: func(ctx context.Context) (*model.Model, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		go e.use(t.Context())
		synctest.Wait()
		require.NoError(t, e.close())
		require.False(t, e.state().loading)
	})
}

func TestPanicOfALoadEndsTheServer(t *testing.T) {
	e := newEngine(Options{Load: func(context.Context) (*model.Model, error) { panic("oh") }})
	_, _, _, err := e.use(t.Context())
	require.EqualError(t, err, "oh")
}

func TestIdleModelStaysOrBusyOneGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(Options{KeepAlive: time.Minute, Load: loadDemo})
		use := func() (release func()) {
			_, m, release, err := e.use(t.Context())
			require.NoError(t, err)
			require.NotNil(t, m)
			return release
		}
		first := use()
		second := use()
		require.Equal(t, 1, e.state().loads)
		first()
		time.Sleep(time.Hour)
		require.True(t, e.state().loaded, "it is used")
		second()
		second()
		time.Sleep(time.Minute - 1)
		require.True(t, e.state().loaded)
		use()()
		time.Sleep(time.Minute - 1)
		require.True(t, e.state().loaded, "the time begins again")
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		require.False(t, e.state().loaded)
		use()()
		require.Equal(t, 2, e.state().loads)
		require.NoError(t, e.close())
		require.False(t, e.state().loaded)
	})
}
