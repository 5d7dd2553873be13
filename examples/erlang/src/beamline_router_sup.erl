%% The table of last answers, the connection and the router. They know each other by name only, and
%% each can be away for a moment: a crash of one is no reason to restart another.
-module(beamline_router_sup).
-behaviour(supervisor).

-export([start_link/1, init/1]).

-spec start_link(map()) -> supervisor:startlink_ret().
start_link(Options) ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, Options).

init(Options) ->
    Children = [
        #{id => Module, start => {Module, start_link, [Options]}}
     || Module <- [beamline_registry, beamline_nats, beamline_router]
    ],
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10}, Children}}.
