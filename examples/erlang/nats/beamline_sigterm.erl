%% SIGTERM as a message: the program ends by itself, once its work is done.
-module(beamline_sigterm).
-behaviour(gen_event).

-export([send_to/1]).
-export([init/1, handle_event/2, handle_call/2]).

%% From now on `Pid` gets the message `sigterm`, in place of what ends the runtime.
-spec send_to(pid()) -> ok | {error, term()}.
send_to(Pid) ->
    gen_event:swap_handler(erl_signal_server, {erl_signal_handler, []}, {?MODULE, Pid}).

init({Pid, _}) -> {ok, Pid}.

handle_event(Signal, Pid) ->
    Pid ! Signal,
    {ok, Pid}.

handle_call(_, Pid) -> {ok, ok, Pid}.
